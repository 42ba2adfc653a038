//! Messages on the pipes of a runner: protobuf, each after its length as a varint.

use std::io;

use prost::Message;
use tokio::io::{AsyncBufRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message on a runner's pipes: the history of a job of 10,000 attempts and parts stays below.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// What came instead of a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a message of {0} bytes is over the limit of {MAX_MESSAGE_BYTES}")]
    TooLong(u64),
    #[error("a malformed message: {0}")]
    Malformed(String),
    #[error("a message was cut off")]
    CutOff,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The next message; `None` when the stream ends between messages. Not to be resumed after it was cancelled.
pub(crate) async fn read_message<M: Message + Default>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<M>, FrameError> {
    let Some(length) = read_length(from).await? else { return Ok(None) };
    if length > MAX_MESSAGE_BYTES as u64 {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::CutOff,
        _ => FrameError::Io(error),
    })?;
    M::decode(bytes.as_slice()).map(Some).map_err(|error| FrameError::Malformed(error.to_string()))
}

async fn read_length(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<u64>, FrameError> {
    let mut length = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        if from.read(&mut byte).await? == 0 {
            return if shift == 0 { Ok(None) } else { Err(FrameError::CutOff) };
        }
        length |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Err(FrameError::Malformed("its length is not a varint".to_owned()))
}

/// Writes one message.
pub(crate) async fn write_message(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
) -> io::Result<()> {
    to.write_all(&message.encode_length_delimited_to_vec()).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use reel_proto::v1;

    use super::*;

    async fn read(bytes: &[u8]) -> Result<Option<v1::Progress>, FrameError> {
        read_message(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let progress = v1::Progress { frames_done: 300, frames_total: 1 << 40, part: Some(2) };
        let mut bytes = Vec::new();
        write_message(&mut bytes, &progress).await.unwrap();
        assert_eq!(read(&bytes).await.unwrap(), Some(progress));
        assert_eq!(read(&[]).await.unwrap(), None);
        for length in 1..bytes.len() {
            assert!(matches!(read(&bytes[..length]).await, Err(FrameError::CutOff)), "{length} bytes");
        }
    }

    #[tokio::test]
    async fn garbage_is_refused_before_it_is_believed() {
        assert!(matches!(read(&[0xff; 10]).await, Err(FrameError::Malformed(_))));
        assert!(matches!(read(&[0xff, 0xff, 0xff, 0x7f]).await, Err(FrameError::TooLong(_))));
        assert!(matches!(read(&[2, 0xff, 0xff]).await, Err(FrameError::Malformed(_))));
    }
}

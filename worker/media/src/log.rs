//! What libav says of itself: errors go to stderr, where they become evidence of a failure. Those that tell of damaged
//! pictures are counted, since some decoders tell of damage in no other way.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};

use ffmpeg_next as ff;
use ffmpeg_next::ffi;

/// Pieces of the messages, before numbers are filled in: those of MJPEG's entropy decoder, and of FFV1's slices. Others, as
/// of broken EXIF data, harm no picture.
const SIGNS: [&[u8]; 5] = [b"error count", b"error dc", b"error y=", b"bad vlc", b"CRC mismatch"];

thread_local! {
    static DAMAGE: Cell<u64> = const { Cell::new(0) };
}

/// Quiets libav but for errors. Must be called once.
pub(crate) fn start() {
    ff::log::set_level(ff::log::Level::Error);
    // SAFETY: the function is static, and may be called from any thread.
    unsafe { ffi::av_log_set_callback(Some(hear)) };
}

/// How often libav has told of damage on this thread, where decoders of one thread do all of their work.
pub(crate) fn signs_of_damage() -> u64 {
    DAMAGE.get()
}

/// # Safety
/// Called by libav alone, whose arguments are passed on as they are.
unsafe extern "C" fn hear(
    context: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    if level <= ffi::AV_LOG_ERROR && !format.is_null() {
        // SAFETY: a format is a string that ends in zero.
        let format = unsafe { CStr::from_ptr(format) }.to_bytes();
        if SIGNS.iter().any(|sign| format.windows(sign.len()).any(|piece| piece == *sign)) {
            // A thread that is ending has no counter any more, and no decoder.
            let _ = DAMAGE.try_with(|damage| damage.set(damage.get() + 1));
        }
    }
    // SAFETY: these are the arguments of a logging function, and nothing was taken from the list.
    unsafe { ffi::av_log_default_callback(context, level, format, arguments) };
}

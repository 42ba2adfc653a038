//! Writing boxes: sizes are filled in when a box is closed.

use crate::boxes::FourCc;

/// Bytes of boxes under construction.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Writes a box whose body `body` writes.
    pub(crate) fn boxed(&mut self, kind: &FourCc, body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.u32(0);
        self.out.extend(kind);
        body(self);
        self.patch_u32(start, (self.out.len() - start) as u32);
    }

    /// Writes a full box (ISO/IEC 14496-12, section 4.2.2).
    pub(crate) fn full(&mut self, kind: &FourCc, version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32(u32::from(version) << 24 | flags);
            body(w);
        });
    }

    /// Writes a descriptor of ISO/IEC 14496-1, section 8.3.3; its body is shorter than 2^28 bytes.
    pub(crate) fn descriptor(&mut self, tag: u8, body: impl FnOnce(&mut Self)) {
        self.u8(tag);
        let start = self.out.len();
        self.u32(0);
        body(self);
        let size = (self.out.len() - start - 4) as u32;
        let groups = [size >> 21 | 0x80, size >> 14 | 0x80, size >> 7 | 0x80, size & 0x7f];
        self.out[start..start + 4].copy_from_slice(&groups.map(|group| group as u8));
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Overwrites four bytes.
    pub(crate) fn patch_u32(&mut self, at: usize, value: u32) {
        self.out[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend(value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    /// Makes room for `bytes` more.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

//! What libav says of itself: errors go to stderr, where they become evidence of a failure, and are counted, since many
//! decoders tell of damage in no other way.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use ffmpeg_next as ff;
use ffmpeg_next::ffi;

thread_local! {
    static ERRORS: Cell<u64> = const { Cell::new(0) };
}

/// Quiets libav but for errors. Must be called once.
pub(crate) fn start() {
    ff::log::set_level(ff::log::Level::Error);
    // SAFETY: the function is static, and may be called from any thread.
    unsafe { ffi::av_log_set_callback(Some(hear)) };
}

/// How many errors libav has told of on this thread, where decoders of one thread do all of their work.
pub(crate) fn errors() -> u64 {
    ERRORS.get()
}

/// # Safety
/// Called by libav alone, whose arguments are passed on as they are.
unsafe extern "C" fn hear(
    context: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    if level <= ffi::AV_LOG_ERROR {
        // A thread that is ending has no counter any more, and no decoder.
        let _ = ERRORS.try_with(|errors| errors.set(errors.get() + 1));
    }
    // SAFETY: these are the arguments of a logging function, and nothing was taken from the list.
    unsafe { ffi::av_log_default_callback(context, level, format, arguments) };
}

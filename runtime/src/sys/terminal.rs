//! The terminal taken over for a full screen, and given back in every ending.
//!
//! [`restore`] is all that an ending needs, and may be called wherever one happens: at the end of
//! a [`Screen`], in a panic, in the handler of a signal.

use std::io;
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use signal_hook::low_level::{emulate_default_handler, register};

/// Where a full screen is drawn.
const TERMINAL: RawFd = libc::STDOUT_FILENO;
/// Changes to the other screen, and hides the cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Shows the cursor, and changes back.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// How the terminal was set; null while it is not taken over.
static BEFORE: AtomicPtr<libc::termios> = AtomicPtr::new(null_mut());

/// The terminal while it is taken over.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes over the terminal on standard output: keys come one by one and are not shown.
    ///
    /// # Errors
    /// It is no terminal, or cannot be set.
    pub fn enter() -> io::Result<Self> {
        // SAFETY: zeros are a value of the plain C structure.
        let mut termios: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills in the structure that the pointer is of.
        check(unsafe { libc::tcgetattr(TERMINAL, &raw mut termios) })?;
        restore_in_panics();
        for signal in [libc::SIGHUP, libc::SIGQUIT] {
            // SAFETY: `restore` and the default handler may be used while a signal is handled.
            unsafe {
                register(signal, move || {
                    restore();
                    let _ = emulate_default_handler(signal);
                })
            }?;
        }
        BEFORE.store(Box::into_raw(Box::new(termios)), Ordering::SeqCst);
        // SAFETY: both only touch the structure that the pointer is of.
        check(unsafe {
            libc::cfmakeraw(&raw mut termios);
            libc::tcsetattr(TERMINAL, libc::TCSAFLUSH, &raw const termios)
        })?;
        write(ENTER);
        Ok(Self(()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back if it was taken over. Does only what may be done in a signal handler.
pub fn restore() {
    let before = BEFORE.swap(null_mut(), Ordering::SeqCst);
    if !before.is_null() {
        write(LEAVE);
        // SAFETY: the structure was made by `enter` and, once out of `BEFORE`, is seen by nobody else;
        // it is never freed, since a signal handler must not do that.
        unsafe { libc::tcsetattr(TERMINAL, libc::TCSAFLUSH, before) };
    }
}

/// What a panic says is to be seen.
fn restore_in_panics() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        say(panic);
    }));
}

/// Where the terminal is gone there is nobody to see it.
fn write(bytes: &[u8]) {
    // SAFETY: the kernel reads the bytes that it is given.
    unsafe { libc::write(TERMINAL, bytes.as_ptr().cast(), bytes.len()) };
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

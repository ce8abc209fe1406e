//! Where the data goes: standard output or a file, written to without ever blocking past a signal.
//!
//! A pipe, terminal or device is opened anew, so that not to block is a property of this
//! description of it and not of one that other programs share. A reader that stands still is waited
//! for, as long as it takes; only once the user has asked for the end is it given up, when it takes
//! nothing for a second.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::sys::{self, process};

/// How long a reader may take nothing when the end has been asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many bytes a pipe takes at once when it says that it takes any.
const PIPE_BUF: usize = libc::PIPE_BUF;

/// The destination of the data.
pub struct Destination {
    file: File,
    /// Its name in errors.
    name: String,
    /// Whether a write could block in spite of all: a socket cannot be opened anew.
    blocks: bool,
}

impl Destination {
    /// Standard output.
    ///
    /// # Errors
    /// When it is closed.
    pub fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self::new(file, "standard output".to_owned()))
    }

    /// A file, made new or emptied; never through a symbolic link, so that nobody can make a
    /// privileged user write elsewhere. A named pipe must have its reader already: nothing is
    /// waited for without end.
    ///
    /// # Errors
    /// Why it cannot be opened, with its name.
    pub fn file(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(path).map_err(|error| named(error, "cannot open", &name))?;
        Ok(Self::new(file, name))
    }

    /// A disk never blocks for long; all else is opened anew, unless the kernel refuses it.
    fn new(file: File, name: String) -> Self {
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        match sys::reopen_unblocked(file.as_fd()) {
            Ok(unblocked) if !is_file => Self { file: unblocked, name, blocks: false },
            _ => Self { file, name, blocks: !is_file },
        }
    }

    /// Whether somebody looks at it line by line.
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// A second descriptor of it, to learn when its reader has gone; none of a terminal, whose end
    /// is no ordinary one: the next write says so.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        if self.is_terminal() { Ok(None) } else { self.file.as_fd().try_clone_to_owned().map(Some) }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// As [`Destination::write`].
    pub fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.write(&mut bytes)
    }

    /// Writes everything, waiting for room as long as it takes. On failure `bytes` is what has not
    /// been written.
    ///
    /// # Errors
    /// Why not, with the destination's name; a closed pipe is [`io::ErrorKind::BrokenPipe`], a
    /// reader that was given up [`io::ErrorKind::TimedOut`].
    pub fn write(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(0) => return Err(named(io::ErrorKind::WriteZero.into(), "cannot write to", &self.name)),
                Ok(written) => *bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_room()?,
                Err(error) => return Err(named(error, "cannot write to", &self.name)),
            }
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocks {
            self.await_room()?;
        }
        let most = if self.blocks { PIPE_BUF } else { bytes.len() };
        self.file.write(&bytes[..bytes.len().min(most)])
    }

    /// Waits until it takes something, or has an error to tell of.
    fn await_room(&self) -> io::Result<()> {
        loop {
            let is_interrupted = process::interruption().is_some();
            match sys::wait_writable(self.file.as_fd(), PATIENCE) {
                Ok(false) if is_interrupted => return Err(self.given_up()),
                // An error of the waiting itself only means that the write is tried at once.
                Ok(true) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Ok(()),
                _ => {}
            }
        }
    }

    fn given_up(&self) -> io::Error {
        let message = format!("cannot write to {}: nothing of it has been read for {PATIENCE:?}", self.name);
        io::Error::new(io::ErrorKind::TimedOut, message)
    }
}

/// Says in `error` what could not be done; a closed pipe stays what it is.
fn named(error: io::Error, what: &str, name: &str) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPIPE) => error,
        Some(libc::ENXIO) => io::Error::other(format!("{what} {name}: it is a pipe that nobody reads yet")),
        Some(libc::ELOOP) => io::Error::other(format!("{what} {name}: it is a symbolic link, name the file itself")),
        _ => io::Error::new(error.kind(), format!("{what} {name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("pfscript-output-{}-{name}", std::process::id()))
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let (link, target) = (scratch("link"), scratch("target"));
        std::os::unix::fs::symlink(&target, &link).expect("a new link");
        let error = Destination::file(&link).err().expect("refused");
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(!target.exists());
        std::fs::remove_file(&link).expect("it exists");
    }

    /// A megabyte reaches a slow reader whole, through what can be opened anew and what cannot.
    fn reaches_a_slow_reader(mut reader: impl Read + Send + 'static, writer: OwnedFd, blocks: bool) {
        let mut to = Destination::new(File::from(writer), "it".to_owned());
        assert_eq!(to.blocks, blocks);
        let bytes: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        to.write_all(&bytes).expect("it is read");
        drop(to);
        assert!(reading.join().expect("no panic").expect("readable") == bytes);
    }

    #[test]
    fn everything_reaches_a_slow_reader() {
        let (reader, writer) = io::pipe().expect("a pipe");
        reaches_a_slow_reader(reader, writer.into(), false);
        let (reader, writer) = UnixStream::pair().expect("a socket");
        reaches_a_slow_reader(reader, writer.into(), true);
    }

    #[test]
    fn what_others_share_still_blocks() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        let shared = writer.try_clone().expect("a descriptor");
        let _to = Destination::new(File::from(OwnedFd::from(writer)), "it".to_owned());
        // SAFETY: asks for the flags of a descriptor that is open.
        #[allow(unsafe_code, reason = "a test looks at its own descriptor")]
        let flags = unsafe { libc::fcntl(shared.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }
}

//! A child that stands before its exec until it is let go.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Gid, Pid, Uid, execve, fork, initgroups, setgid, setgroups, setuid};

/// What a child becomes.
pub struct Image {
    /// The file to run.
    pub program: CString,
    /// Its arguments, its own name first.
    pub args: Vec<CString>,
    /// Whether it has no terminal, or whatever we have, to read from and write to.
    pub is_silent: bool,
    /// `NAME=value` each.
    pub env: Vec<CString>,
    /// Whom to be; ourselves if absent.
    pub user: Option<Identity>,
}

/// A user, as far as the kernel is concerned.
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The user's own group.
    pub gid: Gid,
    /// The name, by which the other groups are found.
    pub name: Option<CString>,
}

/// A child of ours that was not waited for yet.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    /// Whoever reads its other end goes on at a byte.
    gate: Option<OwnedFd>,
}

/// Forks a child that becomes `image` once it is let go. To be called while this process has one thread.
///
/// # Errors
/// No process, pipe or descriptor is to be had.
pub fn fork_stopped(image: &Image) -> io::Result<Child> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: there is one thread, so that the child's memory is whole, and it goes on to exec or to its end.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(write);
            run(image, read.as_raw_fd())
        }
        ForkResult::Parent { child } => Ok(Child { pid: child, pidfd: open_pidfd(child.as_raw())?, gate: Some(write) }),
    }
}

/// A descriptor by which one waits for the end of a process.
///
/// # Errors
/// There is no such process.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers; its result is a new descriptor that nobody else has.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(Errno::result(fd)?) {
        // SAFETY: as above.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Child {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn release(&mut self) -> io::Result<()> {
        match self.gate.take() {
            Some(gate) => Ok(nix::unistd::write(gate, &[1]).map(drop)?),
            None => Ok(()),
        }
    }

    /// Has it end without having begun, if it was not let go.
    pub fn turn_away(&mut self) {
        self.gate = None;
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The child's life.
fn run(image: &Image, gate: RawFd) -> ! {
    let mut byte = [0];
    // SAFETY: `byte` has room for one; the descriptor is the child's own copy.
    let go = unsafe { libc::read(gate, byte.as_mut_ptr().cast(), 1) };
    let failed = if go == 1 { become_image(image).err() } else { None };
    if let Some(error) = failed {
        eprintln!("error: {}: {}", image.program.to_string_lossy(), error.desc());
    }
    let code = if failed == Some(Errno::ENOENT) { 127 } else { 126 };
    // SAFETY: ends the process; nothing of the parent's is to be run at the end of its copy.
    unsafe { libc::_exit(code) }
}

fn become_image(image: &Image) -> nix::Result<()> {
    // What Rust's runtime ignores, a command does not expect to be ignored.
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    if image.is_silent {
        // SAFETY: the name ends with a NUL; the numbers are those of the child's own descriptors.
        unsafe {
            let nothing = Errno::result(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC))?;
            (0..=2).try_for_each(|fd| Errno::result(libc::dup2(nothing, fd)).map(drop))?;
        }
    }
    if let Some(user) = &image.user {
        match &user.name {
            Some(name) => initgroups(name, user.gid)?,
            None => setgroups(&[user.gid])?,
        }
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    match execve(&image.program, &image.args, &image.env) {
        // As execvp does: what the kernel does not know is a script for the shell.
        Err(Errno::ENOEXEC) => {
            let shell = CString::from(c"/bin/sh");
            let words: Vec<_> = [&shell, &image.program].into_iter().chain(image.args.iter().skip(1)).collect();
            execve(&shell, &words, &image.env).map(drop)
        }
        result => result.map(drop),
    }
}

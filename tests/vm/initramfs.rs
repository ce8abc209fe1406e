//! The guest's whole file system: busybox, the tool, its generator and the cases, in one cpio archive.

use std::fs;
use std::io;
use std::path::Path;

const FOLDER: u32 = 0o040_755;
const COMMAND: u32 = 0o100_755;
const TEXT: u32 = 0o100_644;

/// An archive in the kernel's `newc` form.
pub struct Initramfs {
    archive: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    /// Only the folders that everything else goes into.
    pub fn new() -> Self {
        let mut this = Self { archive: Vec::new(), entries: 0 };
        for folder in ["bin", "cases", "dev", "proc", "scripts", "sys", "tmp"] {
            this.entry(folder, FOLDER, &[]);
        }
        this
    }

    /// Adds a file that can be executed.
    pub fn command(&mut self, name: &str, contents: &[u8]) {
        self.entry(name, COMMAND, contents);
    }

    /// Adds a copy of a file of this machine, to be executed.
    pub fn command_from(&mut self, name: &str, file: &Path) -> Result<(), String> {
        let contents = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        self.command(name, &contents);
        Ok(())
    }

    /// Adds a file to be read.
    pub fn text(&mut self, name: &str, contents: &str) {
        self.entry(name, TEXT, contents.as_bytes());
    }

    /// Ends the archive and writes it.
    pub fn write_to(mut self, file: &Path) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[]);
        fs::write(file, self.archive)
    }

    /// A header of 13 hexadecimal fields, the name and the contents, each padded to 4 bytes.
    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(contents.len()).expect("no file of a guest reaches 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("names are short");
        let links = 1;
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.archive.extend_from_slice(b"070701");
        for field in fields {
            self.archive.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.archive.extend_from_slice(name.as_bytes());
        self.archive.push(0);
        self.pad();
        self.archive.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }
}

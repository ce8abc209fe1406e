//! The guest's whole file system in one cpio archive.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

const FOLDER: u32 = 0o040_755;
const COMMAND: u32 = 0o100_755;
const TEXT: u32 = 0o100_644;
const SYMLINK: u32 = 0o120_777;

/// An archive in the kernel's `newc` form. Folders come into being with what is in them.
pub struct Initramfs {
    archive: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Initramfs {
    /// Only the folders that something is mounted on.
    pub fn new() -> Self {
        let mut this = Self { archive: Vec::new(), entries: 0, folders: BTreeSet::new() };
        for folder in ["dev", "proc", "sys", "tmp"] {
            this.folder(folder);
        }
        this
    }

    /// Adds a file that can be executed.
    pub fn command(&mut self, name: &str, contents: &[u8]) {
        self.file(name, COMMAND, contents);
    }

    /// Adds a copy of a file of this machine, to be executed.
    pub fn command_from(&mut self, name: &str, file: &Path) -> Result<(), String> {
        let contents = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        self.command(name, &contents);
        Ok(())
    }

    /// Adds a file to be read.
    pub fn text(&mut self, name: &str, contents: &[u8]) {
        self.file(name, TEXT, contents);
    }

    /// Adds the files of a folder of this machine, under their own path.
    pub fn folder_from(&mut self, folder: &Path) -> Result<(), String> {
        let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        for file in files {
            let contents = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            self.text(&file.to_string_lossy(), &contents);
        }
        Ok(())
    }

    /// Adds a symbolic link at `name`.
    pub fn link(&mut self, name: &str, target: &str) {
        self.file(name, SYMLINK, target.as_bytes());
    }

    /// Ends the archive and writes it.
    pub fn write_to(mut self, file: &Path) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[]);
        fs::write(file, self.archive)
    }

    fn file(&mut self, name: &str, mode: u32, contents: &[u8]) {
        let name = name.trim_start_matches('/');
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, mode, contents);
    }

    fn folder(&mut self, name: &str) {
        if let Some((above, _)) = name.rsplit_once('/') {
            self.folder(above);
        }
        if self.folders.insert(name.to_owned()) {
            self.entry(name, FOLDER, &[]);
        }
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

//! What comes from outside is damaged at random: nothing panics, hangs, or reads where nothing is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libtest_mimic::Failed;
use pfscript::cli::{args, scan::scan};
use pfscript::datum::decode;
use pfscript::event::{Arena, ring::index_sample};
use pfscript::kernel::{btf::Btf, tracefs::parse_format};
use pfscript_compiler::manifest::{DataType, FieldPlace, Member};

/// A small generator of numbers (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most);
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Some bytes changed, or the end cut off.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            match (self.below(8), bytes.get_mut(at)) {
                (0, _) => bytes.truncate(at),
                (_, Some(byte)) => *byte = self.below(256) as u8,
                (_, None) => {}
            }
        }
        bytes
    }
}

/// Records of any bytes are told apart and decoded as any type.
pub fn records(seed: u64, rounds: usize) -> Result<(), Failed> {
    let mut random = Random(seed | 1);
    let word = || DataType::Int { bytes: 8, signed: false };
    let pair =
        DataType::Tuple(vec![Member { offset: 0, ty: word() }, Member { offset: 200, ty: DataType::KernelSymbol }]);
    let types = [word(), DataType::Str { len: 16 }, DataType::UserSymbol, DataType::UserName, pair];
    for _ in 0..rounds {
        let bytes = random.bytes(400);
        for ty in &types {
            let _ = format!("{:?}", decode::datum(ty, &bytes));
            let place = FieldPlace::At { offset: random.below(500) as u32, ty: ty.clone() };
            let _ = format!("{:?}", decode::field(&place, &bytes));
        }
        let (end, sizes) = (bytes.len(), vec![random.below(64) as u32, 24]);
        let mut arena = Arena { bytes, sizes, ..Arena::default() };
        index_sample(0, 0..end, &mut arena);
        if arena.entries.iter().any(|entry| entry.offset + entry.len as usize > end) {
            return Err("a record reaches beyond its sample".into());
        }
    }
    Ok(())
}

/// A tracepoint's format with bytes changed is read or refused.
pub fn formats(seed: u64, rounds: usize) -> Result<(), Failed> {
    const FORMAT: &str = "name: x\nID: 370\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:__data_loc char[] s;\toffset:24;\tsize:4;\tsigned:0;\n\
        \tfield:pid_t pid;\toffset:28;\tsize:4;\tsigned:1;\n\nprint fmt: \"x\"\n";
    let mut random = Random(seed | 1);
    for _ in 0..rounds {
        let damaged = random.damage(FORMAT.as_bytes());
        let _ = parse_format(&String::from_utf8_lossy(&damaged));
    }
    Ok(())
}

/// The kernel's own types with bytes changed are read, or refused, and can be asked.
pub fn types(seed: u64, rounds: usize) -> Result<(), Failed> {
    let mut random = Random(seed | 1);
    let whole = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
    if whole.is_empty() {
        return Ok(());
    }
    let mut read = 0;
    for _ in 0..rounds {
        // The header and the first types, which every walk comes by.
        let (start, rest) = whole.split_at(4096);
        let Some(btf) = Btf::parse([&random.damage(start), rest].concat()) else { continue };
        let _ = (btf.function("handle_mm_fault"), btf.event_fields("sched_process_template"), btf.tracepoints().len());
        read += 1;
    }
    if read == 0 { Err("none was read, all were refused".into()) } else { Ok(()) }
}

/// Words of any bytes are understood or refused.
pub fn command_lines(seed: u64, rounds: usize) -> Result<(), Failed> {
    const WORDS: [&str; 12] =
        ["-e", "-qv", "--dump-ir=", "--", "-", "-p", "1,2", "-c", "--log_step=7", "-fjson", "--top", "--duration"];
    let mut random = Random(seed | 1);
    for _ in 0..rounds {
        let count = random.below(6);
        let words: Vec<OsString> = (0..count)
            .map(|_| match random.below(3) {
                0 => OsString::from_vec(random.bytes(12).into_iter().filter(|&byte| byte != 0).collect()),
                _ => WORDS[random.below(WORDS.len())].into(),
            })
            .collect();
        let _ = args::parse(&words, &scan(&words), "x.pf", &[]);
    }
    Ok(())
}

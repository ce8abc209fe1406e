//! The dynamic linker's cache: which libraries there are, and where.
//!
//! The format is glibc's own since 2.32 (earlier ones put an older cache before it): a header of
//! 48 bytes, an entry of 24 bytes a library, then the texts, which the entries point to from the
//! header's start. Damage gives fewer libraries, never a panic.

/// Where it is.
pub const PATH: &str = "/etc/ld.so.cache";

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// The libraries as `(name, path)`, newest version first among those with one name.
pub fn libraries(cache: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let start = cache.windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
    let cache = start.map_or(&[][..], |start| &cache[start..]);
    let count = word(cache, MAGIC.len()).unwrap_or(0);
    let entry = |index: usize| {
        let at = HEADER.checked_add(index.checked_mul(ENTRY)?)?;
        Some((text(cache, word(cache, at + 4)?)?, text(cache, word(cache, at + 8)?)?))
    };
    (0..count).map_while(entry)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(|four| u32::from_ne_bytes(four) as usize)
}

fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let tail = bytes.get(at..)?;
    let end = tail.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&tail[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut cache = b"an older cache".to_vec();
        cache.extend(MAGIC);
        cache.extend([2_u32, 0, 0, 0, 0, 0, 0].map(u32::to_ne_bytes).concat());
        let texts = (HEADER + 2 * ENTRY) as u32;
        for [name, path] in [[texts, texts + 5], [texts + 5, texts]] {
            cache.extend([3, name, path, 0, 0, 0].map(u32::to_ne_bytes).concat());
        }
        cache.extend(b"a.so\0/lib/a.so\0");
        cache
    }

    #[test]
    fn names_and_paths_are_read() {
        let cache = sample();
        let found: Vec<_> = libraries(&cache).collect();
        assert_eq!(found, [("a.so", "/lib/a.so"), ("/lib/a.so", "a.so")]);
    }

    #[test]
    fn damage_gives_no_answer_and_no_panic() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = libraries(&bad).count();
            }
            let _ = libraries(&good[..at]).count();
        }
    }
}

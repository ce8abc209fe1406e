//! Histograms: buckets to labels, bars and bounds, as bpftrace shows them.

use std::io::Write;

/// Columns of the longest bar, of the labels and of the counts as in bpftrace, where they fit.
const BAR: usize = 52;
const LABELS: usize = 16;
const COUNTS: usize = 8;
/// A line has no more columns than this.
const LINE: usize = 80;

/// One row of a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `[4, 8)`
    pub label: String,
    /// The smallest value that falls into it; absent when open below.
    pub min: Option<i128>,
    /// The largest value that falls into it; absent when open above.
    pub max: Option<i128>,
    /// How many values fell into it.
    pub count: u64,
}

/// The buckets of `hist()`, from the first to the last that is not empty.
pub fn hist(counts: &[u64]) -> Vec<Bucket> {
    occupied(counts).map(|index| power_bucket(index, counts[index])).collect()
}

/// The buckets of `lhist(x, min, max, step)`, from the first to the last that is not empty.
pub fn lhist(counts: &[u64], min: i64, max: i64, step: i64) -> Vec<Bucket> {
    let linear = Linear { min: min.into(), max: max.into(), step: i128::from(step).max(1), last: counts.len() - 1 };
    occupied(counts).map(|index| linear.bucket(index, counts[index])).collect()
}

/// The indices from the first to the last count that is not 0.
fn occupied(counts: &[u64]) -> std::ops::Range<usize> {
    let first = counts.iter().position(|&count| count != 0);
    let last = counts.iter().rposition(|&count| count != 0);
    match (first, last) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    }
}

/// Bucket `index` of the manifest's order: negative, 0, 1, [2, 4), [4, 8), ...
fn power_bucket(index: usize, count: u64) -> Bucket {
    let Some(power) = index.checked_sub(2) else {
        let (label, min) = if index == 0 { ("(..., 0)", None) } else { ("[0]", Some(0)) };
        return Bucket { label: label.to_owned(), min, max: Some(index as i128 - 1), count };
    };
    let (low, high) = (1i128 << power, 1i128 << (power + 1));
    let label =
        if power == 0 { "[1]".to_owned() } else { format!("[{}, {})", power_label(power), power_label(power + 1)) };
    Bucket { label, min: Some(low), max: Some(high - 1), count }
}

/// 2 to the `power`, with the suffixes of multiples of 1024.
fn power_label(power: usize) -> String {
    const SUFFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    format!("{}{}", 1 << (power % 10), SUFFIXES[power / 10])
}

/// The shape of an `lhist`.
struct Linear {
    min: i128,
    max: i128,
    step: i128,
    /// The index of the bucket that is open above.
    last: usize,
}

impl Linear {
    fn bucket(&self, index: usize, count: u64) -> Bucket {
        if index == 0 {
            let label = format!("(..., {})", self.label(self.min));
            return Bucket { label, min: None, max: Some(self.min - 1), count };
        }
        if index == self.last {
            let label = format!("[{}, ...)", self.label(self.max));
            return Bucket { label, min: Some(self.max), max: None, count };
        }
        let low = self.min + (index as i128 - 1) * self.step;
        let high = (low + self.step).min(self.max);
        Bucket {
            label: format!("[{}, {})", self.label(low), self.label(high)),
            min: Some(low),
            max: Some(high - 1),
            count,
        }
    }

    /// A bound; with a suffix when the steps are whole multiples of 1024.
    fn label(&self, bound: i128) -> String {
        match bound {
            _ if self.step % 1024 != 0 || bound == 0 => bound.to_string(),
            _ if bound % (1024 * 1024) == 0 => format!("{}M", bound / (1024 * 1024)),
            _ if bound % 1024 == 0 => format!("{}K", bound / 1024),
            _ => bound.to_string(),
        }
    }
}

/// Appends a line with a bar for each bucket; the counts shown are divided by `div`.
pub fn push_bars(out: &mut Vec<u8>, buckets: &[Bucket], div: u64) {
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
    let shown = |count: u64| (count / div.max(1)).to_string();
    // Long labels and counts take of the bars: every line keeps its columns, and fits.
    let labels = buckets.iter().map(|bucket| bucket.label.len() + 1).fold(LABELS, usize::max);
    let counts = shown(most).len().max(COUNTS);
    let bars = LINE.saturating_sub(labels + counts + " ||".len()).min(BAR);
    for Bucket { label, count, .. } in buckets {
        let bar = "@".repeat((u128::from(*count) * bars as u128 / u128::from(most)) as usize);
        writeln!(out, "{label:<labels$}{:>counts$} |{bar:<bars$}|", shown(*count)).expect("a Vec takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(buckets: &[Bucket]) -> String {
        let mut out = Vec::new();
        push_bars(&mut out, buckets, 1);
        String::from_utf8(out).expect("ASCII")
    }

    fn counts<const N: usize>(len: usize, set: [(usize, u64); N]) -> Vec<u64> {
        let mut counts = vec![0; len];
        set.into_iter().for_each(|(index, count)| counts[index] = count);
        counts
    }

    #[test]
    fn powers_of_two_as_bpftrace_shows_them() {
        let buckets = hist(&counts(66, [(0, 1), (2, 2), (4, 13)]));
        let expected = "\
(..., 0)               1 |@@@@                                                |
[0]                    0 |                                                    |
[1]                    2 |@@@@@@@@                                            |
[2, 4)                 0 |                                                    |
[4, 8)                13 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
";
        assert_eq!(bars(&buckets), expected);
    }

    #[test]
    fn long_labels_and_counts_take_of_the_bars() {
        let wide =
            lhist(&counts(4, [(1, 12_345_678_901), (2, 6_172_839_450)]), 1_000_000_000, 1_200_000_000, 100_000_000);
        let expected = "\
[1000000000, 1100000000) 12345678901 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[1100000000, 1200000000)  6172839450 |@@@@@@@@@@@@@@@@@@@@                     |
";
        assert_eq!(bars(&wide), expected);
        assert!(expected.lines().all(|line| line.len() <= LINE));
        let huge = [i64::MIN, i64::MAX].map(i128::from);
        let huge = Bucket { label: format!("[{}, {})", huge[0], huge[1]), min: None, max: None, count: u64::MAX };
        assert!(bars(&[huge]).starts_with("[-9223372036854775808, 9223372036854775807) 18446744073709551615 |@"));
    }

    #[test]
    fn large_powers_have_suffixes_and_exact_bounds() {
        let label = |index| hist(&counts(66, [(index, 1)]))[0].label.clone();
        assert_eq!(label(11), "[512, 1K)");
        assert_eq!(label(22), "[1M, 2M)");
        assert_eq!(label(33), "[2G, 4G)");
        assert_eq!(label(51), "[512T, 1P)");
        assert_eq!(label(65), "[8E, 16E)");
        let last = &hist(&counts(66, [(65, 1)]))[0];
        assert_eq!((last.min, last.max), (Some(1 << 63), Some(u64::MAX.into())));
    }

    #[test]
    fn bounds_are_inclusive() {
        let bounds = |index| {
            let bucket = &hist(&counts(66, [(index, 1)]))[0];
            (bucket.min, bucket.max)
        };
        assert_eq!(bounds(0), (None, Some(-1)));
        assert_eq!(bounds(1), (Some(0), Some(0)));
        assert_eq!(bounds(2), (Some(1), Some(1)));
        assert_eq!(bounds(3), (Some(2), Some(3)));
    }

    #[test]
    fn linear_steps_end_at_the_maximum() {
        let buckets = lhist(&counts(7, [(0, 1), (5, 3), (6, 3)]), 6, 19, 3);
        let labels: Vec<_> = buckets.iter().map(|bucket| bucket.label.as_str()).collect();
        assert_eq!(labels, ["(..., 6)", "[6, 9)", "[9, 12)", "[12, 15)", "[15, 18)", "[18, 19)", "[19, ...)"]);
        assert_eq!((buckets[5].min, buckets[5].max), (Some(18), Some(18)));
        assert_eq!((buckets[0].max, buckets[6].min), (Some(5), Some(19)));
    }

    #[test]
    fn linear_steps_of_whole_kibibytes_have_suffixes() {
        let buckets = lhist(&counts(5, [(0, 1), (4, 1)]), 0, 3072 * 1024, 1024 * 1024);
        let labels: Vec<_> = buckets.iter().map(|bucket| bucket.label.as_str()).collect();
        assert_eq!(labels, ["(..., 0)", "[0, 1M)", "[1M, 2M)", "[2M, 3M)", "[3M, ...)"]);
    }

    #[test]
    fn an_empty_histogram_has_no_rows() {
        assert_eq!(hist(&[0; 66]), []);
        assert_eq!(lhist(&[0; 4], 0, 2, 1), []);
    }
}

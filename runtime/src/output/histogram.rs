//! Histograms: buckets to labels, bars and bounds, as bpftrace shows them.

use std::io::Write;

/// Columns of a label, of a count and of the longest bar, where labels and counts are not too long.
const LABEL: usize = 16;
const COUNT: usize = 8;
const BAR: usize = 52;

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

/// Appends a line with a bar for each bucket; the counts shown are divided by `div`. Long labels and
/// counts take room from the bars: no line has more than 79 columns.
pub fn push_bars(out: &mut Vec<u8>, buckets: &[Bucket], div: u64) {
    let shown = |bucket: &Bucket| (bucket.count / div.max(1)).to_string();
    let widest = |of: &dyn Fn(&Bucket) -> usize| buckets.iter().map(of).max().unwrap_or(0);
    let label_width = widest(&|bucket| bucket.label.len()).max(LABEL);
    let count_width = (widest(&|bucket| shown(bucket).len()) + 1).max(COUNT);
    // The longest label (44) and count (21) leave some.
    let width = (LABEL + COUNT + BAR).saturating_sub(label_width + count_width);
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
    for bucket in buckets {
        let bar = "@".repeat((u128::from(bucket.count) * width as u128 / u128::from(most)) as usize);
        let (label, count) = (&bucket.label, shown(bucket));
        writeln!(out, "{label:<label_width$}{count:>count_width$} |{bar:<width$}|").expect("a Vec takes everything");
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
    fn long_labels_and_counts_take_room_from_the_bars() {
        let (million, billion) = (1_000_000, 1_000_000_000);
        let steps = bars(&lhist(&counts(5, [(1, 1), (2, 2 * billion)]), million, 4 * million, million));
        let expected = "\
[1000000, 2000000)          1 |                                               |
[2000000, 3000000) 2000000000 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
";
        assert_eq!(steps, expected);
        let huge = bars(&lhist(&counts(4, [(1, u64::MAX)]), i64::MIN, i64::MIN + 2, 1));
        assert_eq!(huge, format!("[{}, {}) {} |{}|\n", i64::MIN, i64::MIN + 1, u64::MAX, "@".repeat(11)));
        assert_eq!(huge.len(), 80, "79 columns and the line's end");
    }

    #[test]
    fn an_empty_histogram_has_no_rows() {
        assert_eq!(hist(&[0; 66]), []);
        assert_eq!(lhist(&[0; 4], 0, 2, 1), []);
    }
}

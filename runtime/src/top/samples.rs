//! How fast the elements of a map grow: two looks at it make a rate, many a history.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// So many rates of an element are remembered.
pub const HISTORY: usize = 60;

/// An element as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// Its number at the last look.
    pub total: i128,
    /// How much that grew in a second, between the last two looks.
    pub rate: f64,
    /// The rates, the last one last.
    pub history: VecDeque<f64>,
    /// What is shown of its key; empty until somebody asks.
    pub cells: Vec<String>,
    look: u64,
}

/// The elements of a map, look after look.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    tracks: HashMap<Vec<u8>, Track>,
    looks: u64,
    at: Duration,
    /// How many elements were retired, and the sum of their numbers.
    retired: (u64, i128),
    /// How many that were at the last look.
    retired_then: u64,
    total: i128,
    rate: f64,
}

impl Samples {
    /// Takes in the elements as they are `at` this time after tracing began, when all were zero.
    pub fn look(&mut self, elements: impl Iterator<Item = (Vec<u8>, i128)>, at: Duration) {
        let seconds = at.saturating_sub(self.at).as_secs_f64();
        let rate = |grown: i128| if seconds > 0.0 { grown as f64 / seconds } else { 0.0 };
        (self.at, self.looks) = (at, self.looks + 1);
        self.retired_then = self.retired.0;
        let mut total = self.retired.1;
        for (key, number) in elements {
            let track = self.tracks.entry(key).or_default();
            // An element that shrank was cleared in between, and began again from zero.
            let grown = if number < track.total { number } else { number - track.total };
            (track.total, track.rate, track.look) = (number, rate(grown), self.looks);
            track.history.push_back(track.rate);
            if track.history.len() > HISTORY {
                track.history.pop_front();
            }
            total += number;
        }
        self.tracks.retain(|_, track| track.look == self.looks);
        self.rate = rate(if total < self.total { total } else { total - self.total });
        self.total = total;
    }

    /// An element with this number is gone for good.
    pub fn retire(&mut self, number: i128) {
        self.retired = (self.retired.0 + 1, self.retired.1 + number);
    }

    /// The elements that are there.
    pub fn tracks(&self) -> impl Iterator<Item = (&[u8], &Track)> {
        self.tracks.iter().map(|(key, track)| (key.as_slice(), track))
    }

    /// The same, to be changed.
    pub fn tracks_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut Track)> {
        self.tracks.iter_mut().map(|(key, track)| (key.as_slice(), track))
    }

    /// How many elements are there.
    pub fn count(&self) -> usize {
        self.tracks.len()
    }

    /// How many elements were retired.
    pub fn retired(&self) -> u64 {
        self.retired_then
    }

    /// The sum of all, those that were retired included.
    pub fn total(&self) -> i128 {
        self.total
    }

    /// How much that grew in a second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// When the last look was.
    pub fn at(&self) -> Duration {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(samples: &mut Samples, elements: &[(u8, i128)], millis: u64) {
        let elements = elements.iter().map(|&(key, number)| (vec![key], number));
        samples.look(elements, Duration::from_millis(millis));
    }

    fn rate(samples: &Samples, key: u8) -> Option<f64> {
        samples.tracks().find(|(known, _)| *known == [key]).map(|(_, track)| track.rate)
    }

    #[test]
    fn rates_are_by_the_time_between_two_looks() {
        let mut samples = Samples::default();
        look(&mut samples, &[(1, 100), (2, 7)], 1000);
        assert_eq!((rate(&samples, 1), rate(&samples, 2), samples.rate()), (Some(100.0), Some(7.0), 107.0));
        look(&mut samples, &[(1, 150), (3, 10)], 1500);
        assert_eq!((rate(&samples, 1), rate(&samples, 2), rate(&samples, 3)), (Some(100.0), None, Some(20.0)));
    }

    #[test]
    fn what_was_retired_stays_in_the_total() {
        let mut samples = Samples::default();
        look(&mut samples, &[(1, 100), (2, 7)], 1000);
        samples.retire(9);
        look(&mut samples, &[(1, 100)], 2000);
        assert_eq!((samples.total(), samples.rate(), samples.retired(), samples.count()), (109, 2.0, 1, 1));
    }

    #[test]
    fn a_map_that_was_cleared_begins_again() {
        let mut samples = Samples::default();
        look(&mut samples, &[(1, 100)], 1000);
        look(&mut samples, &[(1, 30)], 2000);
        assert_eq!((rate(&samples, 1), samples.rate()), (Some(30.0), 30.0));
    }

    #[test]
    fn of_the_history_only_the_end_is_kept() {
        let mut samples = Samples::default();
        for second in 1..=100 {
            look(&mut samples, &[(1, i128::from(second * second))], second * 1000);
        }
        let (_, track) = samples.tracks().next().expect("one element");
        assert_eq!((track.history.len(), track.history.back()), (HISTORY, Some(&199.0)));
    }
}

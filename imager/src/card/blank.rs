//! Which ranges of a card are zeros without having been written: the device made them, or a new file has holes there.

use std::ops::Range;

/// Ranges in order, none touching another.
#[derive(Debug, Default)]
pub(super) struct Blank {
    ranges: Vec<Range<u64>>,
}

impl Blank {
    /// Zeros were made there.
    pub(super) fn add(&mut self, range: Range<u64>) {
        let (first, after) = self.touched(&range);
        let merged = match self.ranges.get(first..after) {
            Some([.., last]) => range.start.min(self.ranges[first].start)..range.end.max(last.end),
            _ => range,
        };
        self.ranges.splice(first..after, [merged]);
    }

    /// Something else is being written there.
    pub(super) fn remove(&mut self, range: Range<u64>) {
        let (first, after) = self.touched(&range);
        let cut = |old: &Range<u64>| {
            [old.start..old.end.min(range.start), old.start.max(range.end)..old.end]
        };
        let left: Vec<Range<u64>> =
            self.ranges[first..after].iter().flat_map(cut).filter(|r| r.start < r.end).collect();
        self.ranges.splice(first..after, left);
    }

    /// The first range that ends after `at`.
    pub(super) fn next(&self, at: u64) -> Option<Range<u64>> {
        self.ranges.get(self.ranges.partition_point(|range| range.end <= at)).cloned()
    }

    /// The ranges that overlap or touch this one.
    fn touched(&self, range: &Range<u64>) -> (usize, usize) {
        let first = self.ranges.partition_point(|old| old.end < range.start);
        let after = self.ranges.partition_point(|old| old.start <= range.end);
        (first, after.max(first))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_knows_what_a_list_of_flags_knows(
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 1u64..20), 0..20),
        ) {
            let mut flags = [false; 100];
            let mut blank = Blank::default();
            for (adds, start, len) in steps {
                let range = start..start + len;
                flags[range.start as usize..range.end as usize].fill(adds);
                match adds {
                    true => blank.add(range),
                    false => blank.remove(range),
                }
            }
            prop_assert!(blank.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            for (at, flag) in flags.into_iter().enumerate() {
                let at = at as u64;
                prop_assert_eq!(blank.next(at).is_some_and(|range| range.start <= at), flag);
            }
        }
    }
}

//! What the log says about peers that nobody knows: some lines a second, and how many more there were. Whoever has no key
//! must not be able to fill the disk with connections and refusals, nor keep a reactor busy with writing about them.

/// Lines a second, of each reactor.
const LINES: u32 = 50;

/// Counts lines.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    told: u32,
    untold: u32,
}

impl Strangers {
    /// Whether there may be one more line now.
    pub(super) fn may_be_told(&mut self) -> bool {
        if self.told < LINES {
            self.told += 1;
            true
        } else {
            self.untold = self.untold.saturating_add(1);
            false
        }
    }

    /// A second is over. Returns how many lines there would have been more.
    pub(super) fn begin_second(&mut self) -> u32 {
        std::mem::take(self).untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_few_lines_and_the_rest_is_counted() {
        let mut strangers = Strangers::default();
        for _ in 0..2 {
            assert!((0..LINES).all(|_| strangers.may_be_told()));
            assert!(!strangers.may_be_told() && !strangers.may_be_told());
            assert_eq!(strangers.begin_second(), 2);
        }
        assert_eq!(strangers.begin_second(), 0);
    }
}

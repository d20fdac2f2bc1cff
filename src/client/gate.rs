//! Lets only so much through at a time, and makes the rest wait.

use std::sync::{Condvar, Mutex, PoisonError};

/// A sum with a bound. One thing more gets in while the bound is not reached, however much it weighs.
#[derive(Debug)]
pub(crate) struct Gate {
    most: usize,
    // How much is through; nothing once it stands open for all.
    inside: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::new(Some(0)), moved: Condvar::new() }
    }

    /// Goes through; waits until there is room.
    pub(crate) fn enter(&self, weight: usize) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |inside: &mut Option<usize>| inside.is_some_and(|sum| sum >= self.most);
        let mut inside = self.moved.wait_while(inside, full).unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = inside.as_mut() {
            *sum += weight;
        }
    }

    /// Something that went through is no longer inside.
    pub(crate) fn leave(&self, weight: usize) {
        if let Some(sum) = self.inside.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *sum = sum.saturating_sub(weight);
        }
        self.moved.notify_one();
    }

    /// Nobody waits any more.
    pub(crate) fn open(&self) {
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::{TryRecvError, channel};

    #[test]
    fn those_who_find_it_full_wait_for_those_inside_or_for_its_opening() {
        let gate = Arc::new(Gate::new(2));
        let (sender, through) = channel();
        let waiting = Arc::clone(&gate);
        let thread = std::thread::spawn(move || {
            for number in 0..10 {
                waiting.enter(1);
                sender.send(number).unwrap();
            }
        });
        assert_eq!((through.recv(), through.recv()), (Ok(0), Ok(1)));
        assert_eq!(through.try_recv(), Err(TryRecvError::Empty));
        gate.leave(1);
        assert_eq!(through.recv(), Ok(2));
        gate.open();
        thread.join().unwrap();
        assert_eq!(through.iter().last(), Some(9));
    }
}

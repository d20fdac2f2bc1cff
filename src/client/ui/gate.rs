//! Lets only so many through at a time, and makes the others wait.

use std::sync::{Condvar, Mutex, PoisonError};

/// A count with a bound.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    // How many are through; nothing once it stands open for all.
    inside: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Gate {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::new(Some(0)), moved: Condvar::new() }
    }

    /// Goes through; waits until there is room.
    pub(super) fn enter(&self) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |inside: &mut Option<usize>| inside.is_some_and(|count| count >= self.most);
        let mut inside = self.moved.wait_while(inside, full).unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.as_mut() {
            *count += 1;
        }
    }

    /// One is no longer inside.
    pub(super) fn leave(&self) {
        if let Some(count) = self.inside.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *count = count.saturating_sub(1);
        }
        self.moved.notify_one();
    }

    /// Nobody waits any more.
    pub(super) fn open(&self) {
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
                waiting.enter();
                sender.send(number).unwrap();
            }
        });
        assert_eq!((through.recv(), through.recv()), (Ok(0), Ok(1)));
        assert_eq!(through.try_recv(), Err(TryRecvError::Empty));
        gate.leave();
        assert_eq!(through.recv(), Ok(2));
        gate.open();
        thread.join().unwrap();
        assert_eq!(through.iter().last(), Some(9));
    }
}

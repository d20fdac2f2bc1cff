//! Requests on their way to the link, packed into records.

use crate::proto::frame::RECORD_BYTES;

/// The plaintexts of the records to seal next.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    records: Vec<Vec<u8>>,
}

impl Outgoing {
    /// Appends encoded requests. They share one record if they fit in one.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.records.last_mut() {
            Some(last) if last.len() + bytes.len() <= RECORD_BYTES => last.extend_from_slice(bytes),
            _ => self.records.extend(bytes.chunks(RECORD_BYTES).map(<[u8]>::to_vec)),
        }
    }

    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_in_a_record_is_never_cut() {
        let mut outgoing = Outgoing::default();
        outgoing.push(&[1; 10]);
        outgoing.push(&vec![2; RECORD_BYTES - 5]);
        outgoing.push(&[3; 5]);
        outgoing.push(&vec![4; RECORD_BYTES + 1]);
        outgoing.push(&[5; 2]);
        let lengths: Vec<usize> = outgoing.take().iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, RECORD_BYTES, RECORD_BYTES, 3]);
        assert!(outgoing.take().is_empty());
    }
}

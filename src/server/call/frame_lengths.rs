//! The lengths of the gRPC messages in a request body.

use crate::grpc::MAX_REQUEST_BYTES;

/// The position of a body in its messages.
#[derive(Debug, Default)]
pub(super) struct FrameLengths {
    /// The prefix of the next message: a flag, and four bytes of length.
    prefix: [u8; PREFIX],
    prefix_bytes: usize,
    /// The bytes of the current message that have not been read.
    remaining: usize,
}

impl FrameLengths {
    /// Returns how many bytes of the present message are still to come.
    pub(super) const fn remaining(&self) -> usize {
        self.remaining
    }

    /// Reads the next bytes; returns the total length of the large messages whose prefix ends in them.
    pub(super) fn read(&mut self, mut data: &[u8]) -> u32 {
        let mut large: u32 = 0;
        loop {
            let skipped = self.remaining.min(data.len());
            self.remaining -= skipped;
            data = &data[skipped..];
            let Some((byte, rest)) = data.split_first() else { return large };
            data = rest;
            self.prefix[self.prefix_bytes] = *byte;
            self.prefix_bytes += 1;
            if self.prefix_bytes == PREFIX {
                self.prefix_bytes = 0;
                let [_, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length);
                self.remaining = length as usize;
                if LARGE.contains(&self.remaining) {
                    large = large.saturating_add(length);
                }
            }
        }
    }
}

/// A flag, and four bytes of length.
pub(super) const PREFIX: usize = 5;

/// Shorter messages cost no more than their calls. Longer ones are rejected by their length prefix alone.
pub(super) const LARGE: std::ops::RangeInclusive<usize> = 64 * 1024 + 1..=MAX_REQUEST_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut message = vec![0; PREFIX + length];
        message[1..PREFIX].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        message
    }

    /// Returns the total length of the large messages in a body that arrives in pieces of this size.
    fn large(body: &[u8], piece: usize) -> u32 {
        let mut frame_lengths = FrameLengths::default();
        body.chunks(piece).map(|piece| frame_lengths.read(piece)).sum()
    }

    #[test]
    fn large_messages_are_found_in_pieces_of_any_size() {
        let body = [0, 1, 65_536, 65_537, 70_000, 0, 300].map(message).concat();

        for piece in [1, 2, 5, 6, 16_384, body.len()] {
            assert_eq!(large(&body, piece), 65_537 + 70_000, "{piece}");
        }
    }

    #[test]
    fn a_message_is_large_by_its_prefix_alone_if_it_is_not_above_the_limit() {
        for (length, is_large) in [(65_536_u32, false), (65_537, true), (4 << 20, true), ((4 << 20) + 1, false)] {
            let prefix = [&[0], length.to_be_bytes().as_slice()].concat();
            assert_eq!(large(&prefix, 1), if is_large { length } else { 0 }, "{length}");
        }
        assert_eq!(large(&[0xff; 5], 5), 0);
    }
}

//! The lengths of gRPC's messages, as their bytes come by.

use crate::grpc::MAX_REQUEST_BYTES;

/// Where in its messages a body is.
#[derive(Debug, Default)]
pub(crate) struct FrameLengths {
    /// The first bytes of the next prefix: a flag, and four bytes of length.
    prefix: [u8; PREFIX],
    come: usize,
    /// How much of a message is still to come.
    rest: usize,
}

impl FrameLengths {
    /// Looks at the next bytes; answers how long those messages are together that begin here and are large.
    pub(crate) fn see(&mut self, mut data: &[u8]) -> u32 {
        let mut large: u32 = 0;
        loop {
            let rest = self.rest.min(data.len());
            self.rest -= rest;
            data = &data[rest..];
            let Some((byte, after)) = data.split_first() else { return large };
            data = after;
            self.prefix[self.come] = *byte;
            self.come += 1;
            if self.come == PREFIX {
                self.come = 0;
                let [_, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length);
                self.rest = length as usize;
                if LARGE.contains(&self.rest) {
                    large = large.saturating_add(length);
                }
            }
        }
    }
}

const PREFIX: usize = 5;

/// Shorter ones are as cheap as the calls that they are of; longer ones are refused by their length alone.
const LARGE: std::ops::RangeInclusive<usize> = 64 * 1024 + 1..=MAX_REQUEST_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut message = vec![0; PREFIX + length];
        message[1..PREFIX].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        message
    }

    /// What is large in a body that comes in pieces of that size.
    fn large(body: &[u8], piece: usize) -> u32 {
        let mut frame_lengths = FrameLengths::default();
        body.chunks(piece).map(|piece| frame_lengths.see(piece)).sum()
    }

    #[test]
    fn large_messages_are_seen_in_whatever_pieces_they_come() {
        let body = [0, 1, 65_536, 65_537, 70_000, 0, 300].map(message).concat();

        for piece in [1, 2, 5, 6, 16_384, body.len()] {
            assert_eq!(large(&body, piece), 65_537 + 70_000, "{piece}");
        }
    }

    #[test]
    fn a_message_is_large_before_it_comes_and_not_if_nobody_will_take_it() {
        for (length, is_large) in [(65_536_u32, false), (65_537, true), (4 << 20, true), ((4 << 20) + 1, false)] {
            let prefix = [&[0], length.to_be_bytes().as_slice()].concat();
            assert_eq!(large(&prefix, 1), if is_large { length } else { 0 }, "{length}");
        }
        assert_eq!(large(&[0xff; 5], 5), 0);
    }
}

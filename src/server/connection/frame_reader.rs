//! The frames in the bytes that a peer sends, as far as they have to be counted. It knows their lengths and their types.

/// The position in the frames of one connection.
#[derive(Debug)]
pub(super) struct FrameReader(FramePosition);

#[derive(Debug)]
enum FramePosition {
    /// In the preface, of which so many bytes were read.
    Preface(usize),
    /// In the head of a frame, of which so many bytes were read.
    Head([u8; HEAD], usize),
    /// In the payload of a frame, of which so many bytes are left.
    Payload(usize),
    /// The peer does not speak HTTP/2.
    OtherProtocol,
}

/// The frames that begin in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameCount {
    pub(super) all: u32,
    pub(super) without_data: u32,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self(FramePosition::Preface(0))
    }
}

impl FrameReader {
    /// Reads the next bytes; returns the frames whose head ends in them.
    pub(super) fn read(&mut self, mut data: &[u8]) -> FrameCount {
        let mut count = FrameCount::default();
        while !data.is_empty() {
            let read = match &mut self.0 {
                FramePosition::OtherProtocol => return count,
                FramePosition::Preface(matched) => {
                    let length = (PREFACE.len() - *matched).min(data.len());
                    if data[..length] != PREFACE[*matched..*matched + length] {
                        self.0 = FramePosition::OtherProtocol;
                        return count;
                    }
                    *matched += length;
                    if *matched == PREFACE.len() {
                        self.0 = FramePosition::Head([0; HEAD], 0);
                    }
                    length
                }
                FramePosition::Head(head, known) => {
                    let length = (HEAD - *known).min(data.len());
                    head[*known..*known + length].copy_from_slice(&data[..length]);
                    *known += length;
                    if *known == HEAD {
                        let [high, middle, low, kind, ..] = *head;
                        count.all += 1;
                        count.without_data += u32::from(kind != DATA);
                        self.0 = FramePosition::Payload(
                            usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
                        );
                    }
                    length
                }
                FramePosition::Payload(left) => {
                    let length = (*left).min(data.len());
                    *left -= length;
                    length
                }
            };
            data = &data[read..];
            if let FramePosition::Payload(0) = self.0 {
                self.0 = FramePosition::Head([0; HEAD], 0);
            }
        }
        count
    }
}

/// The first bytes of a peer that speaks HTTP/2.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;
const DATA: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let head = [&u32::try_from(length).unwrap().to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 1]].concat();
        [head, vec![7; length]].concat()
    }

    fn count(data: &[u8], piece: usize) -> (u32, u32) {
        let mut reader = FrameReader::default();
        let counts: Vec<_> = data.chunks(piece).map(|piece| reader.read(piece)).collect();
        (counts.iter().map(|count| count.all).sum(), counts.iter().map(|count| count.without_data).sum())
    }

    #[test]
    fn frames_are_counted_in_pieces_of_any_size() {
        let frames = [frame(4, 0), frame(1, 40), frame(0, 300), frame(0, 0), frame(6, 8), frame(8, 4)].concat();
        let data = [PREFACE, frames.as_slice()].concat();

        for piece in [1, 2, 8, 9, 10, 24, 33, 100, data.len()] {
            assert_eq!(count(&data, piece), (6, 4), "{piece}");
        }
    }

    #[test]
    fn other_protocols_are_not_counted() {
        for piece in [1, 10, 1000] {
            assert_eq!(count(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n", piece), (0, 0));
            assert_eq!(count(b"PRI * HTTP/1.1\r\nhost: test\r\n\r\n", piece), (0, 0));
        }
    }
}

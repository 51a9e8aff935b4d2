//! Cursors of the feed in Redis: how far the stream of each partition was read.

use crate::store::Cursor;
use crate::store::encoding::feed_tag;
use crate::types::AppName;

/// How far a stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum StreamProgress {
    Read(StreamPosition),
    /// The stream was read so far, and then its server did not answer, or a new connection was opened. It may be another
    /// server by now, which does not have everything that was read.
    Unchecked(StreamPosition),
    /// The server of the stream did not answer when the reader began.
    Unknown,
}

/// The last entry of a stream that was read; 0 throughout if none was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store::redis) struct StreamPosition {
    /// The two numbers of the id that Redis gave the entry.
    pub(in crate::store::redis) millis: u64,
    pub(in crate::store::redis) step: u64,
    /// The number of the entry since the stream began.
    pub(in crate::store::redis) number: u64,
}

impl StreamProgress {
    /// Notes that the server does not answer, or may be another one.
    pub(in crate::store::redis) fn note_outage(&mut self) {
        if let Self::Read(position) = *self {
            *self = Self::Unchecked(position);
        }
    }
}

/// Writes the feed's tag, and each number with seven bits in a byte, because most numbers are small.
pub(in crate::store::redis) fn encode(app: &AppName, progress: &[StreamProgress]) -> Cursor {
    let numbers = progress.iter().flat_map(|progress| match progress {
        StreamProgress::Read(StreamPosition { millis, step, number }) => [*millis, *step, *number],
        StreamProgress::Unchecked(StreamPosition { millis, step, number }) => [*millis, *step, *number | UNCHECKED],
        StreamProgress::Unknown => [0, 0, UNKNOWN],
    });
    let mut bytes = feed_tag(app).to_vec();
    for mut number in numbers {
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap_or_default());
    }
    Cursor(bytes)
}

pub(in crate::store::redis) fn decode(app: &AppName, cursor: &Cursor) -> Option<Vec<StreamProgress>> {
    let mut numbers = Vec::with_capacity(cursor.0.len());
    let (mut number, mut shift) = (0_u64, 0_u32);
    for byte in cursor.0.strip_prefix(&feed_tag(app))? {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    let (positions, rest) = numbers.as_chunks::<3>();
    let is_whole = shift == 0 && rest.is_empty();
    let progress = |[millis, step, number]: &[u64; 3]| match *number {
        UNKNOWN => StreamProgress::Unknown,
        number => {
            let position = StreamPosition { millis: *millis, step: *step, number: number & !UNCHECKED };
            if number & UNCHECKED == 0 { StreamProgress::Read(position) } else { StreamProgress::Unchecked(position) }
        }
    };
    is_whole.then(|| positions.iter().map(progress).collect())
}

/// In the number of an entry. No stream has as many, so an earlier version takes the cursor for one that has expired.
const UNCHECKED: u64 = 1 << 63;
const UNKNOWN: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_was_written_is_read_again() {
        let position = StreamPosition { millis: 1_764_000_000_000, step: 3, number: 70_000 };
        let progress = [StreamProgress::Read(position), StreamProgress::Unchecked(position), StreamProgress::Unknown];
        let app = AppName::parse("default").unwrap();

        assert_eq!(decode(&app, &encode(&app, &progress)), Some(progress.to_vec()));
    }
}

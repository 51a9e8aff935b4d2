//! Go's `time.Time`, in the bytes of its `MarshalBinary` and as the text of its `MarshalJSON`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::types::Time;

/// A time with its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GoTime {
    /// Seconds since 1970; negative before.
    seconds: i64,
    nanos: u32,
    /// East of UTC. Go writes zones of whole minutes only.
    offset_minutes: i16,
}

impl GoTime {
    /// Reads the bytes that `MarshalBinary` writes; `None` for others, and for a zone with seconds.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [VERSION, rest @ ..] = bytes else { return None };
        let rest: &[u8; 14] = rest.try_into().ok()?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, o0, o1] = *rest;
        let seconds = i64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]).checked_sub(SECONDS_UNTIL_1970)?;
        let nanos = u32::from_be_bytes([n0, n1, n2, n3]);
        let offset = i16::from_be_bytes([o0, o1]);
        let offset_minutes = if offset == UTC { 0 } else { offset };
        let is_valid = nanos < 1_000_000_000 && i32::from(offset_minutes).abs() < 24 * 60;
        is_valid.then_some(Self { seconds, nanos, offset_minutes })
    }

    /// The time as this service counts it; 1970 if it is earlier.
    pub(super) fn timestamp(self) -> Time {
        let seconds = u64::try_from(self.seconds).map_or(Duration::ZERO, Duration::from_secs);
        Time::default() + seconds + Duration::from_nanos(self.nanos.into())
    }

    /// Writes the time as RFC 3339, as Go does; `None` if its year is not in 0 to 9999.
    pub(super) fn rfc3339(self) -> Option<String> {
        let local = self.seconds.checked_add(i64::from(self.offset_minutes) * 60)?;
        let (year, month, day) = civil_date(local.div_euclid(DAY));
        let in_day = local.rem_euclid(DAY);
        if !(0..=9999).contains(&year) {
            return None;
        }
        let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if self.nanos > 0 {
            let fraction = format!(".{:09}", self.nanos);
            text.push_str(fraction.trim_end_matches('0'));
        }
        match self.offset_minutes {
            0 => text.push('Z'),
            offset => {
                let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
                write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60).ok()?;
            }
        }
        Some(text)
    }
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar.
///
/// It counts years from March on, so that a leap day is the last of its year, in eras of 400 years.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let since_era_0 = days + 719_468;
    let (era, day_of_era) = (since_era_0.div_euclid(146_097), since_era_0.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// The version with a zone of whole minutes.
const VERSION: u8 = 1;
const UTC: i16 = -1;
/// Go counts from the first moment of the year 1.
const SECONDS_UNTIL_1970: i64 = 62_135_596_800;
const DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let table = [
            (0, 0, 0, Some("1970-01-01T00:00:00Z")),
            (1_700_000_000, 0, 60, Some("2023-11-14T23:13:20+01:00")),
            (1_700_000_000, 120_000_000, -330, Some("2023-11-14T16:43:20.12-05:30")),
            (951_782_399, 1, 0, Some("2000-02-28T23:59:59.000000001Z")),
            (951_868_800, 0, 0, Some("2000-03-01T00:00:00Z")),
            (-1, 0, 0, Some("1969-12-31T23:59:59Z")),
            (-SECONDS_UNTIL_1970, 0, 0, Some("0001-01-01T00:00:00Z")),
            (253_402_300_799, 0, 0, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, 0, 0, None),
            (i64::MAX, 0, 60, None),
            (i64::MIN, 0, -60, None),
        ];

        for (seconds, nanos, offset_minutes, text) in table {
            let time = GoTime { seconds, nanos, offset_minutes };
            assert_eq!(time.rfc3339().as_deref(), text, "{time:?}");
        }
    }
}

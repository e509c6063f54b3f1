//! Moments as RFC 3339 writes them, in UTC with milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// `2026-11-28T18:40:00.123Z`; a clock that is before 1970 counts as 1970.
pub(super) fn timestamp(at: SystemTime) -> String {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (
        since_1970.as_secs() / DAY_SECONDS,
        since_1970.as_secs() % DAY_SECONDS,
    );
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let (second, millis) = (second % 60, since_1970.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of the Gregorian calendar, so many days after 1970
/// began.
///
/// It counts in years that begin in March, so that the leap day is the last of
/// its year, and the months before it have the same lengths in all years.
fn date(days: u64) -> (u64, u64, u64) {
    /// From March of the year 0 to 1970.
    const DAYS_BEFORE_1970: u64 = 719_468;
    /// In 400 years, after which the calendar repeats.
    const ERA_DAYS: u64 = 146_097;
    /// In five months from March or August on: 31, 30, 31, 30, 31.
    const FIVE_MONTHS_DAYS: u64 = 153;

    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    // Without the leap days, every year has 365.
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_from_march = (5 * day_of_year + 2) / FIVE_MONTHS_DAYS;
    let day = day_of_year - (FIVE_MONTHS_DAYS * months_from_march + 2) / 5 + 1;
    let month = (months_from_march + 2) % 12 + 1;
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_millis(millis))
    }

    #[test]
    fn moments_are_written_as_other_programs_write_them() {
        // As `date -u -d @SECONDS` writes them.
        for (millis, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_208_000_500, "2024-02-29T12:00:00.500Z"),
            (1_795_891_200_123, "2026-11-28T18:40:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(at(millis), written);
        }
        assert_eq!(
            timestamp(UNIX_EPOCH - Duration::from_secs(9)),
            at(0),
            "a clock that was never set"
        );
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let mut expected = (1970, 1, 1);
        for days in 0..400 * 366 {
            assert_eq!(date(days), expected);
            let (year, month, day) = expected;
            let last = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day == last) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                (_, false) => (year, month, day + 1),
            };
        }
    }
}

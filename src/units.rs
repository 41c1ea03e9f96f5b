//! Text ↔ unit: the only place where durations, sizes and counts are read from or written as text.
//!
//! Inside, time is `u64` nanoseconds and sizes are bytes; the unit is in the name of the variable.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;

/// Why a text is no duration, size or count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// Not a duration.
    #[error("{text:?} is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s")]
    Duration {
        /// What was written.
        text: String,
    },
    /// Not a size in bytes.
    #[error("{text:?} is not a size: write a number with its unit, such as 512KiB, 16MiB or 1000B")]
    Bytes {
        /// What was written.
        text: String,
    },
    /// Not a rate.
    #[error("{text:?} is not a rate: write how many a second, such as 50 or 0.5, or with their time, such as 90/m")]
    Rate {
        /// What was written.
        text: String,
    },
}

/// Reads a duration such as `250ms`, `1.5s` or `1m30s`, in nanoseconds; the unit is required (but for `0`).
///
/// # Errors
/// The text has no unit, is negative, or does not fit 584 years.
pub fn parse_duration_ns(text: &str) -> Result<u64, Error> {
    let refuse = || Error::Duration { text: text.to_owned() };
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| refuse())?;
    u64::try_from(parsed.as_nanos()).map_err(|_| refuse())
}

/// Reads a size such as `16MiB`, `64KB` or `512B`, in bytes; the unit is required (but for `0`).
///
/// # Errors
/// The text has no unit, is negative or fractional in bytes, or does not fit `u64`.
pub fn parse_bytes(text: &str) -> Result<u64, Error> {
    let refuse = || Error::Bytes { text: text.to_owned() };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    let scale: u64 = match unit.trim_start() {
        "" if number == 0 => 1,
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(refuse()),
    };
    number.checked_mul(scale).ok_or_else(refuse)
}

/// How often something happens: exact, so that the millionth time is where it should be to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many thousand-millionths of a time…
    nano: u64,
    /// …in so many seconds.
    per_s: u64,
}

impl Rate {
    /// The highest rate, a second: far over what one machine can start.
    pub const PER_S_MAX: u64 = 1_000_000;

    /// So often a second.
    ///
    /// # Errors
    /// It is negative, no number, or over [`Rate::PER_S_MAX`].
    pub fn per_s(times: f64) -> Result<Self, Error> {
        if !(0.0..=Self::PER_S_MAX as f64).contains(&times) {
            return Err(Error::Rate { text: times.to_string() });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        let nano = (times * 1e9).round() as u64;
        Ok(Self { nano, per_s: 1 })
    }

    /// Reads a rate such as `50`, `0.5`, `90/m` or `1000/h`; without a time it is a second's.
    ///
    /// # Errors
    /// The text is none, or it is over [`Rate::PER_S_MAX`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Rate { text: text.to_owned() };
        let (times, per) = text.split_once('/').unwrap_or((text, "s"));
        let per_s = match per.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3_600,
            "d" | "day" => 86_400,
            _ => return Err(refuse()),
        };
        let times: f64 = times.trim().parse().map_err(|_| refuse())?;
        let rate = Self::per_s(times / per_s as f64).map_err(|_| refuse())?;
        if rate.nano == 0 && times > 0.0 {
            return Err(refuse());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        let nano = (times * 1e9).round() as u64;
        Ok(Self { nano, per_s })
    }

    /// Whether it never happens.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// How often in a nanosecond.
    #[must_use]
    pub fn per_ns(self) -> f64 {
        self.nano as f64 / self.per_s as f64 / 1e18
    }

    /// So many thousand-millionths of a time in so many seconds.
    #[must_use]
    pub fn parts(self) -> [u64; 2] {
        [self.nano, self.per_s]
    }

    /// When it happens for the `index`th time, in nanoseconds, counted from 0 at the instant 0; never for a rate of 0.
    #[must_use]
    pub fn instant_ns(self, index: u64) -> u64 {
        if self.is_zero() {
            return if index == 0 { 0 } else { u64::MAX };
        }
        let scaled = u128::from(index).saturating_mul(u128::from(self.per_s)).saturating_mul(1_000_000_000_000_000_000);
        u64::try_from(scaled / u128::from(self.nano)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self.nano as f64 / 1e9;
        let unit = match self.per_s {
            60 => "m",
            3_600 => "h",
            86_400 => "d",
            _ => "s",
        };
        out.pad(&format!("{times}/{unit}"))
    }
}

/// The longest time that a file can plan, 146 years in nanoseconds: a few of them still add up within 64 bits.
pub const PLANNED_MAX_NS: u64 = u64::MAX / 4;

/// Nanoseconds of a standard duration; saturates after 584 years.
#[must_use]
pub fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as people read it: three significant digits and the unit that fits (`1.23s`, `45.6ms`, `789µs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SCALES: [(f64, &str); 4] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];
        let value = self.0 as f64;
        // The unit is chosen by the printed text, so that 999.6 µs is never shown as "1000µs".
        let mut text = String::new();
        for (scale, unit) in SCALES {
            let scaled = value / scale;
            let digits = match scaled {
                s if s >= 100.0 || unit == "ns" => 0,
                s if s >= 10.0 => 1,
                _ => 2,
            };
            text = format!("{scaled:.digits$}{unit}");
            if scaled < 999.5 {
                break;
            }
        }
        out.pad(&text)
    }
}

/// A difference of times as people read it: as [`Human`], with a minus where it is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanSigned(pub i64);

impl fmt::Display for HumanSigned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        out.pad(&format!("{sign}{}", Human(self.0.unsigned_abs())))
    }
}

/// A number as people read it: three significant digits, however small it is, and all of those before its point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Significant(pub f64);

impl fmt::Display for Significant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&significant(self.0, 3))
    }
}

/// The number with so many significant digits at least, without zeros at the end of a fraction.
fn significant(number: f64, digits: usize) -> String {
    // In scientific notation the exponent is that of the rounded number: 0.9996 is 1.00.
    let scientific = format!("{number:.*e}", digits.max(1) - 1);
    let exponent: i64 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let decimals = usize::try_from(i64::try_from(digits).unwrap_or(0) - 1 - exponent).unwrap_or(0);
    let text = format!("{number:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// An amount with two decimals, or as many as it takes to see two digits of it.
#[must_use]
pub fn two_decimals(amount: f64) -> String {
    if amount >= 0.1 || amount <= 0.0 { format!("{amount:.2}") } else { significant(amount, 2) }
}

/// A size as people read it, in powers of 1,024 (`1.5 MiB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 1023.5 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        let digits = usize::from(unit != "B" && value < 99.5);
        out.pad(&format!("{value:.digits$} {unit}"))
    }
}

/// A duration to the nanosecond, in the largest unit that divides it: what [`parse_duration_ns`] reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExactTime(pub u64);

impl fmt::Display for ExactTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(NS_PER_S, "s"), (NS_PER_MS, "ms"), (1_000, "µs")];
        write_exact(self.0, &UNITS, ("s", "ns"), out)
    }
}

/// A size to the byte, in the largest unit that divides it: what [`parse_bytes`] reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExactBytes(pub u64);

impl fmt::Display for ExactBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        write_exact(self.0, &UNITS, ("B", "B"), out)
    }
}

fn write_exact(
    value: u64,
    units: &[(u64, &str)],
    (zero, base): (&str, &str),
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (scale, unit) = match value {
        0 => (1, zero),
        _ => units.iter().copied().find(|(scale, _)| value.is_multiple_of(*scale)).unwrap_or((1, base)),
    };
    out.pad(&format!("{}{unit}", value / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, ns) in [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("2 hours", 7_200_000_000_000),
            ("20µs", 20_000),
            ("20us", 20_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration_ns(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn durations_without_a_unit_are_refused() {
        for text in ["", "10", "-1s", "fast", "1 fortnight", "99999999999999h"] {
            assert!(parse_duration_ns(text).is_err(), "{text}");
        }
        insta::assert_snapshot!(
            parse_duration_ns("10").expect_err("no unit"),
            @r#""10" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s"#
        );
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_bytes("16MiB"), Ok(16 << 20));
        assert_eq!(parse_bytes("64 KB"), Ok(64_000));
        assert_eq!(parse_bytes("0"), Ok(0));
        for text in ["16", "1.5MiB", "-1B", "MiB", "99999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_read_with_or_without_their_time() {
        for (text, told, second) in [
            ("50", "50/s", 20_000_000),
            ("0.5", "0.5/s", 2_000_000_000),
            ("90/m", "90/m", 666_666_666),
            ("1000 / hour", "1000/h", 3_600_000_000),
            ("1/d", "1/d", 86_400_000_000_000),
            ("1000000", "1000000/s", 1_000),
        ] {
            let rate = Rate::parse(text).expect(text);
            assert_eq!((rate.to_string().as_str(), rate.instant_ns(1)), (told, second));
            assert_eq!(Rate::parse(told), Ok(rate));
        }
        assert_eq!(Rate::parse("0").map(Rate::is_zero), Ok(true));
        for text in ["", "-1", "1000001", "60000001/m", "fast", "5/fortnight", "NaN", "inf", "1e-12"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
        // Ninety a minute for a year: the last one is where it belongs.
        let year = 90 * 60 * 24 * 365;
        assert_eq!(Rate::parse("90/m").expect("a rate").instant_ns(year), 365 * 86_400 * NS_PER_S);
    }

    #[test]
    fn humans_get_three_digits() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_234, "1.23µs"),
            (999_600, "1.00ms"),
            (45_600_000, "45.6ms"),
            (1_234_000_000, "1.23s"),
            (123_456_000_000_000, "123456s"),
        ] {
            assert_eq!(Human(ns).to_string(), text);
        }
        assert_eq!(format!("{:>8}|", Human(1_000)), "  1.00µs|");
        for (number, text) in [
            (0.0, "0"),
            (10.0 / 3_600.0, "0.00278"),
            (1e-7, "0.0000001"),
            (0.099_96, "0.1"),
            (0.5, "0.5"),
            (13.333, "13.3"),
            (99.96, "100"),
            (1_234.5, "1234"),
        ] {
            assert_eq!(Significant(number).to_string(), text);
        }
        let amounts = [0.0, 12.345, 0.5, 0.05, 0.000_012_34].map(two_decimals);
        assert_eq!(amounts, ["0.00", "12.35", "0.50", "0.05", "0.000012"]);
        assert_eq!(HumanBytes(1_536).to_string(), "1.5 KiB");
        assert_eq!(HumanBytes(1_023).to_string(), "1023 B");
    }

    #[test]
    fn exact_texts_are_read_back_to_the_unit() {
        for ns in [0, 1, 999, 1_000, 1_500_000_000, 90_000_000_000, 250_000_000, 1_234_567_891, u64::MAX >> 1] {
            assert_eq!(parse_duration_ns(&ExactTime(ns).to_string()), Ok(ns), "{}", ExactTime(ns));
        }
        for bytes in [0, 1, 1_023, 1_024, 1_536, 16 << 20, 1 << 30, u64::MAX] {
            assert_eq!(parse_bytes(&ExactBytes(bytes).to_string()), Ok(bytes), "{}", ExactBytes(bytes));
        }
        assert_eq!(ExactTime(90_000_000_000).to_string(), "90s");
        assert_eq!(ExactTime(1_500_000_000).to_string(), "1500ms");
        assert_eq!(ExactBytes(16 << 20).to_string(), "16MiB");
    }
}

//! Values of options: sizes, times, shares, classes.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::calls::Class;

/// The most bytes of a message that may be asked for.
const MAX_PAYLOAD: u32 = 64 << 20;

/// The least bound of memory that leaves something for connections, in bytes.
const LEAST_MEMORY: usize = 64 << 20;

/// A share from 0 to 1, or in percent.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 100.0));
    let share: f64 = number.parse().map_err(|_| "not a number from 0 to 1, or from 0% to 100%".to_owned())?;
    match share / unit {
        share if (0.0..=1.0).contains(&share) => Ok(share),
        share if (1.0..=100.0).contains(&share) => Err(format!("not from 0 to 1; did you mean {text}%?")),
        _ => Err("not from 0 to 1, or from 0% to 100%".to_owned()),
    }
}

/// Reads the name of a class.
pub(super) fn class_parser() -> impl TypedValueParser<Value = Class> {
    let names = PossibleValuesParser::new(Class::ALL.iter().map(|class| class.name()));
    names.try_map(|name| Class::from_name(&name).ok_or("no such class"))
}

/// A number of bytes with a unit: 512MiB, 4GB; without a unit, bytes.
fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || "expected a size such as 512MiB or 4GB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// A size that the program can do with.
pub(super) fn parse_memory(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        bytes if bytes < LEAST_MEMORY => Err("at least 64MiB".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A size of one message.
pub(super) fn parse_payload_limit(text: &str) -> Result<NonZeroU32, String> {
    let bytes = u32::try_from(parse_size(text)?).ok().filter(|bytes| *bytes <= MAX_PAYLOAD);
    bytes.and_then(NonZeroU32::new).ok_or_else(|| "from 1 byte to 64MiB".to_owned())
}

/// A size of at least one million bytes: less than that would hold hardly a packet of each file.
pub(super) fn parse_quota(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        bytes if bytes < 1_000_000 => Err("at least 1MB".to_owned()),
        bytes => Ok(bytes as u64),
    }
}

/// A size of at least sixteen million bytes, so that several batches fit.
#[cfg(feature = "otlp")]
pub(super) fn parse_queue(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        bytes if bytes < 16_000_000 => Err("at least 16MB".to_owned()),
        bytes => Ok(bytes as u64),
    }
}

/// A time such as 500ms, 30s, 1.5m, 1h30m or 7d; a bare number is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    // One number with one unit: unlike jiff, this takes `.5s` and many digits.
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => 0.0,
    };
    match number.parse::<f64>() {
        Ok(number) if factor > 0.0 => {
            Duration::try_from_secs_f64(number * factor).map_err(|_| "too long".to_owned())
        }
        _ => {
            let wrong = || "expected a time such as 500ms, 30s, 5m or 1h30m".to_owned();
            let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
            duration.try_into().map_err(|_| wrong())
        }
    }
}

/// `record` writes no packets.
#[cfg(feature = "parquet")]
pub(super) fn no_packets(arg: clap::Arg) -> clap::Arg {
    let is_of_packets = ["write", "rotate_count", "embed_secrets", "comments", "packet_buffered"]
        .contains(&arg.get_id().as_str());
    if is_of_packets { arg.hide(true) } else { arg }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_limits_are_from_one_byte_to_64_mib() {
        let bytes = |text: &str| parse_payload_limit(text).ok().map(NonZeroU32::get);
        assert_eq!((bytes("1"), bytes("2KiB"), bytes("64MiB")), (Some(1), Some(2048), Some(64 << 20)));
        for odd in ["0", "64.1MiB", "67108865", "5GiB", "-1", ""] {
            assert_eq!(bytes(odd), None, "{odd}");
        }
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, milliseconds) in [
            ("5", 5_000),
            ("1.5", 1_500),
            (".5s", 500),
            ("5.s", 5_000),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("2min", 120_000),
            ("0.5h", 1_800_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("2 hours", 7_200_000),
            ("1m 30s", 90_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "soon", "s", "-5s", "5m ago", "5x", "1.2.3s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

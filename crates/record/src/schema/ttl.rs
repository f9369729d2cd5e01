use serde_json::Value;
use tandem_base::{Error, Result};

/// The time to live of a bucket's records, in milliseconds: a positive number
/// of them, or a text such as `90s`, `15m`, `12h`, `1.5d`.
///
/// # Errors
/// `VALIDATION_ERROR` for anything else.
pub fn parse_ttl(ttl: &Value) -> Result<u64> {
    let milliseconds = match ttl {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => parse_text(text),
        _ => None,
    };
    match milliseconds {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(milliseconds) if (1.0..=9e15).contains(&milliseconds) => Ok(milliseconds as u64),
        _ => Err(Error::validation(format!(
            "Invalid ttl {ttl}: expected a positive number of milliseconds or <number><s|m|h|d>"
        ))
        .with("ttl", ttl.clone())),
    }
}

fn parse_text(text: &str) -> Option<f64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1e3,
        b'm' => 60e3,
        b'h' => 3600e3,
        b'd' => 86400e3,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let is_decimal = number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse::<f64>().ok().filter(|_| is_decimal).map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ttl_is_milliseconds_or_a_number_with_a_unit() {
        for (ttl, milliseconds) in [
            (json!(1500), 1500),
            (json!("2s"), 2000),
            (json!("15m"), 900_000),
            (json!("24h"), 86_400_000),
            (json!("1.5d"), 129_600_000),
        ] {
            assert_eq!(parse_ttl(&ttl).unwrap(), milliseconds, "{ttl}");
        }
        for bad in [
            json!(0),
            json!(-5),
            json!("5"),
            json!("s"),
            json!("5w"),
            json!("-1s"),
            json!("1e3s"),
            json!("1.2.3s"),
            json!("99999999999999999d"),
            json!(true),
            json!(null),
            json!("5é"),
        ] {
            assert_eq!(parse_ttl(&bad).unwrap_err().code().as_str(), "VALIDATION_ERROR", "{bad}");
        }
    }
}

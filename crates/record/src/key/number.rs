//! Numbers in keys: the nearest float, then what it leaves out.
//!
//! ```text
//! 8 bytes   bits of the nearest f64, big-endian; a positive one with the sign
//!           bit set, a negative one with every bit inverted; -0 is 0
//! 2 bytes   only when the float is 2^53 or more away from zero:
//!           the exact number minus the float, plus 0x8000, big-endian
//! ```
//! Rounding never reverses an order, so floats that differ decide; equal
//! floats leave it to the residual, which is at most 1024 either way.

use serde_json::Number;

const EXACT_LIMIT: f64 = 9_007_199_254_740_992.0;
const RESIDUAL_BIAS: i128 = 0x8000;
const SIGN: u64 = 1 << 63;

/// Whether a float stands alone, without a residual.
fn is_exact(float: f64) -> bool {
    float.abs() < EXACT_LIMIT
}

pub(super) fn encode(number: &Number, out: &mut Vec<u8>) {
    if let Some(float) = number.as_i64().and_then(exact) {
        return out.extend_from_slice(&ordered(float).to_be_bytes());
    }
    let (float, residual) = split(number);
    out.extend_from_slice(&ordered(float).to_be_bytes());
    if !is_exact(float) {
        let biased = u16::try_from(residual + RESIDUAL_BIAS)
            .expect("an integer of 64 bits is within 1024 of its float");
        out.extend_from_slice(&biased.to_be_bytes());
    }
}

/// The float of an integer that has one of its own; to reckon with 128 bits takes ten
/// times as long.
#[expect(clippy::cast_precision_loss, reason = "there is none")]
fn exact(integer: i64) -> Option<f64> {
    (integer.unsigned_abs() < 1 << f64::MANTISSA_DIGITS).then_some(integer as f64)
}

/// Bits that are in the order of the floats.
fn ordered(float: f64) -> u64 {
    let bits = if float == 0.0 { 0 } else { float.to_bits() };
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the point of it")]
fn split(number: &Number) -> (f64, i128) {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match integer {
        Some(integer) => {
            let float = integer as f64;
            (float, integer - float as i128)
        }
        None => (number.as_f64().unwrap_or(0.0), 0),
    }
}

/// The float of the first eight bytes and whether a residual follows; `None`
/// for bits that no number has.
pub(super) fn decode_float(ordered: u64) -> Option<(f64, bool)> {
    let bits = if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN };
    let float = f64::from_bits(bits);
    let is_number = float.is_finite() && (float != 0.0 || bits == 0);
    is_number.then_some((float, !is_exact(float)))
}

/// The number from its two parts: an integer where it is one of 64 bits.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the point of it")]
pub(super) fn join(float: f64, biased: Option<u16>) -> Option<Number> {
    let residual = biased.map_or(0, |biased| i128::from(biased) - RESIDUAL_BIAS);
    if float.fract() == 0.0 && float.abs() <= u64::MAX as f64 {
        let integer = float as i128 + residual;
        let number = i64::try_from(integer)
            .map(Number::from)
            .or_else(|_| u64::try_from(integer).map(Number::from));
        if let Ok(number) = number {
            return ((integer as f64).to_bits() == float.to_bits()).then_some(number);
        }
    }
    if residual == 0 { Number::from_f64(float) } else { None }
}

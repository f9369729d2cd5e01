//! Arithmetic over JSON numbers: integers stay exact, doubles stay doubles.
//!
//! Two integers give an integer as long as the result is one of 64 bits
//! (`i64::MIN ..= u64::MAX`); whether it may become the nearest double beyond
//! that is the caller's choice. An integer and a double give a double. What is
//! no finite double is no number of JSON.

use serde_json::{Number, Value};

/// What came out of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// An integer, of 64 bits or not.
    Integer(i128),
    /// About the integer that it is: not even 128 bits hold it.
    Huge(f64),
    /// A double, finite or not.
    Double(f64),
}

impl Outcome {
    /// The number as a double.
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double")]
            Self::Integer(integer) => integer as f64,
            Self::Huge(double) | Self::Double(double) => double,
        }
    }

    /// The exact number; `None` beyond 64 bits and for what is not finite.
    pub(crate) fn exact(self) -> Option<Number> {
        match self {
            Self::Integer(integer) => integer_number(integer),
            Self::Huge(_) => None,
            Self::Double(double) => Number::from_f64(double),
        }
    }

    /// The exact number, or the nearest double; null for what is not finite.
    pub(crate) fn nearest(self) -> Value {
        self.exact().or_else(|| Number::from_f64(self.to_f64())).map_or(Value::Null, Value::Number)
    }
}

/// The integer as a number, if it has 64 bits.
pub(crate) fn integer_number(integer: i128) -> Option<Number> {
    i64::try_from(integer)
        .map(Number::from)
        .or_else(|_| u64::try_from(integer).map(Number::from))
        .ok()
}

/// The number, told apart by how it is written: `1` is an integer, `1.0` a
/// double.
pub(crate) fn outcome(number: &Number) -> Outcome {
    match as_integer(number) {
        Some(integer) => Outcome::Integer(integer),
        None => Outcome::Double(number.as_f64().unwrap_or(0.0)),
    }
}

/// The number if it is written as an integer.
pub(crate) fn as_integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The number if it is an integer of 64 bits by value: `2.0` is one.
pub(crate) fn whole(number: &Number) -> Option<i64> {
    let integer = match outcome(number) {
        Outcome::Integer(integer) => integer,
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as checked")]
        Outcome::Double(double) if double.fract() == 0.0 && double.abs() < 9.3e18 => double as i128,
        Outcome::Huge(_) | Outcome::Double(_) => return None,
    };
    i64::try_from(integer).ok()
}

pub(crate) fn add(a: Outcome, b: Outcome) -> Outcome {
    combine(a, b, i128::checked_add, |a, b| a + b)
}

pub(crate) fn subtract(a: Outcome, b: Outcome) -> Outcome {
    combine(a, b, i128::checked_sub, |a, b| a - b)
}

pub(crate) fn multiply(a: Outcome, b: Outcome) -> Outcome {
    combine(a, b, i128::checked_mul, |a, b| a * b)
}

fn combine(
    a: Outcome,
    b: Outcome,
    integers: fn(i128, i128) -> Option<i128>,
    doubles: fn(f64, f64) -> f64,
) -> Outcome {
    let double = doubles(a.to_f64(), b.to_f64());
    match (a, b) {
        (Outcome::Integer(a), Outcome::Integer(b)) => {
            integers(a, b).map_or(Outcome::Huge(double), Outcome::Integer)
        }
        (Outcome::Double(_), _) | (_, Outcome::Double(_)) => Outcome::Double(double),
        _ => Outcome::Huge(double),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: &Value) -> Outcome {
        outcome(value.as_number().unwrap())
    }

    #[test]
    fn integers_are_exact_up_to_64_bits_and_say_so_beyond() {
        let sum = |a: Value, b: Value| add(number(&a), number(&b));
        assert_eq!(sum(json!(i64::MAX), json!(1)).nearest(), json!(1_u64 << 63));
        assert_eq!(
            sum(json!(9_007_199_254_740_993_i64), json!(0)).nearest(),
            json!(9_007_199_254_740_993_i64)
        );
        assert_eq!(sum(json!(u64::MAX), json!(1)).exact(), None);
        assert_eq!(sum(json!(u64::MAX), json!(1)).nearest(), json!(18_446_744_073_709_551_616.0));
        assert_eq!(sum(json!(1), json!(2.0)).nearest(), json!(3.0));
        assert_eq!(sum(json!(f64::MAX), json!(f64::MAX)).nearest(), Value::Null);
        let product = multiply(number(&json!(u64::MAX)), number(&json!(u64::MAX)));
        assert_eq!(product.exact(), None);
    }

    #[test]
    fn a_whole_double_is_an_integer_by_value() {
        assert_eq!(whole(json!(2.0).as_number().unwrap()), Some(2));
        assert_eq!(whole(json!(2.5).as_number().unwrap()), None);
        assert_eq!(whole(json!(u64::MAX).as_number().unwrap()), None);
        assert_eq!(whole(json!(1e300).as_number().unwrap()), None);
    }
}

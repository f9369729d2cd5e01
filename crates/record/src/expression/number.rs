//! Arithmetic. Null or missing makes the result null; what is no number is an
//! error. Integers stay integers where the operation gives one.

use serde_json::{Number, Value};
use tandem_base::Result;

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;
use crate::value::arithmetic::{self, Outcome, outcome, whole};

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    let Some(numbers) = numbers(given)? else { return Ok(Value::Null) };
    let one = || numbers[0];
    let double = |value: f64| Outcome::Double(value).nearest();
    Ok(match given.operator {
        O::Add => fold(&numbers, 0, arithmetic::add),
        O::Multiply => fold(&numbers, 1, arithmetic::multiply),
        O::Subtract => arithmetic::subtract(numbers[0], numbers[1]).nearest(),
        O::Divide => {
            let divisor = numbers[1].to_f64();
            if divisor == 0.0 {
                return Err(given.wrong("a divisor that is not 0"));
            }
            double(numbers[0].to_f64() / divisor)
        }
        O::Mod => match (numbers[0], numbers[1]) {
            (_, divisor) if divisor.to_f64() == 0.0 => {
                return Err(given.wrong("a divisor that is not 0"));
            }
            (Outcome::Integer(a), Outcome::Integer(b)) => Outcome::Integer(a % b).nearest(),
            (a, b) => double(a.to_f64() % b.to_f64()),
        },
        O::Abs => match one() {
            Outcome::Integer(integer) => Outcome::Integer(integer.abs()).nearest(),
            other => double(other.to_f64().abs()),
        },
        O::Ceil => rounded(one(), f64::ceil),
        O::Floor => rounded(one(), f64::floor),
        O::Round | O::Trunc => {
            let place = match given.at(1) {
                None => 0,
                Some(Value::Number(place)) => match whole(place) {
                    Some(place @ -20..=100) => place,
                    _ => return Err(given.wrong("a place from -20 to 100")),
                },
                Some(_) => return Err(given.wrong("a place from -20 to 100")),
            };
            to_place(one(), place, given.operator == O::Round)
        }
        O::Exp => double(one().to_f64().exp()),
        O::Sin => double(one().to_f64().sin()),
        O::Cos => double(one().to_f64().cos()),
        O::Tan => double(one().to_f64().tan()),
        O::Ln | O::Log10 => {
            let argument = one().to_f64();
            if argument <= 0.0 {
                return Err(given.wrong("a positive number"));
            }
            double(if given.operator == O::Ln { argument.ln() } else { argument.log10() })
        }
        O::Log => {
            let (argument, base) = (numbers[0].to_f64(), numbers[1].to_f64());
            if argument <= 0.0 || base <= 0.0 || (base - 1.0).abs() < f64::EPSILON {
                return Err(given.wrong("a positive number and a positive base other than 1"));
            }
            double(argument.ln() / base.ln())
        }
        O::Sqrt => {
            let argument = one().to_f64();
            if argument < 0.0 {
                return Err(given.wrong("a number that is not negative"));
            }
            double(argument.sqrt())
        }
        O::Pow => power(given, numbers[0], numbers[1])?,
        _ => bits(given)?,
    })
}

/// The operands; `None` if one is null or missing. The place of `$round` is
/// looked at apart.
fn numbers(given: &Operands<'_, '_>) -> Result<Option<Vec<Outcome>>> {
    let mut numbers = Vec::with_capacity(given.all.len());
    for at in 0..given.all.len() {
        match given.or_null(at) {
            Value::Null => return Ok(None),
            Value::Number(number) => numbers.push(outcome(number)),
            _ => return Err(given.wrong("numbers")),
        }
    }
    Ok(Some(numbers))
}

fn fold(numbers: &[Outcome], first: i128, step: fn(Outcome, Outcome) -> Outcome) -> Value {
    numbers.iter().fold(Outcome::Integer(first), |sum, number| step(sum, *number)).nearest()
}

fn rounded(number: Outcome, round: fn(f64) -> f64) -> Value {
    match number {
        Outcome::Double(double) => Outcome::Double(round(double)).nearest(),
        integer => integer.nearest(),
    }
}

/// Rounds half to even, or cuts, at a decimal place; integers stay integers.
fn to_place(number: Outcome, place: i64, round: bool) -> Value {
    match number {
        Outcome::Integer(integer) if place < 0 => {
            let Some(unit) =
                u32::try_from(-place).ok().and_then(|digits| 10_i128.checked_pow(digits))
            else {
                return Value::Null;
            };
            let (quotient, rest) = (integer / unit, (integer % unit).abs());
            let up = round && (2 * rest > unit || 2 * rest == unit && quotient % 2 != 0);
            let quotient = if up { quotient + integer.signum() } else { quotient };
            Outcome::Integer(quotient * unit).nearest()
        }
        Outcome::Integer(_) | Outcome::Huge(_) => number.nearest(),
        Outcome::Double(double) => {
            #[expect(clippy::cast_possible_truncation, reason = "within -20..=100")]
            let factor = 10_f64.powi(place as i32);
            let scaled = double * factor;
            // Doubles that large have no digits after that place.
            if !scaled.is_finite() || scaled.abs() >= 9_007_199_254_740_992.0 && place >= 0 {
                return number.nearest();
            }
            let whole = if round { scaled.round_ties_even() } else { scaled.trunc() };
            Outcome::Double(whole / factor).nearest()
        }
    }
}

fn power(given: &Operands<'_, '_>, base: Outcome, exponent: Outcome) -> Result<Value> {
    if let (Outcome::Integer(base), Outcome::Integer(exponent)) = (base, exponent)
        && let Ok(exponent) = u32::try_from(exponent)
        && let Some(exact) = base.checked_pow(exponent)
    {
        return Ok(Outcome::Integer(exact).nearest());
    }
    let (base, exponent) = (base.to_f64(), exponent.to_f64());
    if base == 0.0 && exponent < 0.0 {
        return Err(given.wrong("a base that is not 0 for a negative exponent"));
    }
    Ok(Outcome::Double(base.powf(exponent)).nearest())
}

fn bits(given: &Operands<'_, '_>) -> Result<Value> {
    let integer = |at: usize| -> Result<i64> {
        let number = given.at(at).and_then(Value::as_number);
        number.and_then(Number::as_i64).ok_or_else(|| given.wrong("integers of 64 bits"))
    };
    let all = (0..given.all.len()).map(integer).collect::<Result<Vec<i64>>>()?;
    Ok(match given.operator {
        O::BitAnd => all.into_iter().fold(-1, |a, b| a & b),
        O::BitOr => all.into_iter().fold(0, |a, b| a | b),
        O::BitXor => all.into_iter().fold(0, |a, b| a ^ b),
        _ => !all[0],
    }
    .into())
}

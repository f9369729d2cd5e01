use serde_json::{Number, Value};

/// The sum of numbers, exact however many there are and in whatever order.
///
/// Integers are added as such. Doubles are kept as a short list of doubles
/// that do not overlap and whose sum is exact (Shewchuk's expansions); only
/// the result is rounded. A sum beyond the range of doubles is null.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    count: u64,
    integers: i128,
    partials: Vec<f64>,
    overflown: bool,
}

impl ExactSum {
    /// Takes in one number.
    pub fn add(&mut self, number: &Number) {
        self.count += 1;
        if let Some(integer) = number.as_i64() {
            self.integers += i128::from(integer);
        } else if let Some(integer) = number.as_u64() {
            self.integers += i128::from(integer);
        } else if let Some(float) = number.as_f64() {
            self.add_float(float);
        }
    }

    /// Takes a number out again, if that is exact: it is for integers, and not
    /// for doubles, of which at least the sign of a zero would be lost.
    pub fn remove(&mut self, number: &Number) -> bool {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        let Some(integer) = integer else { return false };
        self.count -= 1;
        self.integers -= integer;
        true
    }

    /// Whether it went beyond the range of doubles on its way.
    #[must_use]
    pub fn has_overflown(&self) -> bool {
        self.overflown
    }

    fn add_float(&mut self, mut float: f64) {
        let mut kept = 0;
        for at in 0..self.partials.len() {
            let mut partial = self.partials[at];
            if float.abs() < partial.abs() {
                std::mem::swap(&mut float, &mut partial);
            }
            let sum = float + partial;
            let lost = partial - (sum - float);
            if lost != 0.0 {
                self.partials[kept] = lost;
                kept += 1;
            }
            float = sum;
        }
        self.partials.truncate(kept);
        self.partials.push(float);
        self.overflown |= !float.is_finite();
    }

    /// How many numbers were taken in.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum; 0 for nothing.
    #[must_use]
    pub fn total(self) -> Value {
        if self.partials.is_empty() { integer(self.integers) } else { float(self.rounded()) }
    }

    /// The mean; 0 for nothing.
    #[must_use]
    pub fn mean(self) -> Value {
        let count = i128::from(self.count.max(1));
        if self.partials.is_empty() && self.integers % count == 0 {
            return integer(self.integers / count);
        }
        #[expect(clippy::cast_precision_loss, reason = "rounded once, as documented")]
        let count = count as f64;
        float(self.rounded() / count)
    }

    /// The nearest double.
    fn rounded(mut self) -> f64 {
        // An i128 is three doubles of less than 53 bits.
        let parts = [self.integers >> 96 << 96, self.integers >> 48 << 48, self.integers];
        let pieces = [parts[0], parts[1] - parts[0], parts[2] - parts[1]];
        #[expect(clippy::cast_precision_loss, reason = "at most 48 significant bits each")]
        pieces
            .into_iter()
            .filter(|piece| *piece != 0)
            .for_each(|piece| self.add_float(piece as f64));
        if self.overflown {
            return f64::NAN;
        }
        let mut partials = self.partials.into_iter().rev();
        let mut total = partials.next().unwrap_or(0.0);
        while let Some(partial) = partials.next() {
            let before = total;
            total = before + partial;
            let lost = partial - (total - before);
            if lost != 0.0 {
                // Half-way cases: what is left decides the last bit.
                if let Some(rest) = partials.next()
                    && (lost < 0.0) == (rest < 0.0)
                {
                    let twice = lost * 2.0;
                    let nearer = total + twice;
                    if twice == nearer - total {
                        total = nearer;
                    }
                }
                break;
            }
        }
        total
    }
}

fn integer(value: i128) -> Value {
    if let Ok(value) = i64::try_from(value) {
        value.into()
    } else if let Ok(value) = u64::try_from(value) {
        value.into()
    } else {
        #[expect(clippy::cast_precision_loss, reason = "the nearest double, as documented")]
        float(value as f64)
    }
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sum_of(values: &[Value]) -> ExactSum {
        let mut sum = ExactSum::default();
        for value in values {
            sum.add(value.as_number().unwrap());
        }
        sum
    }

    #[test]
    fn integers_add_up_exactly_as_long_as_the_sum_is_one() {
        assert_eq!(sum_of(&[]).total(), json!(0));
        assert_eq!(sum_of(&[json!(i64::MAX), json!(1)]).total(), json!(1_u64 << 63));
        assert_eq!(sum_of(&[json!(u64::MAX), json!(-1)]).total(), json!(u64::MAX - 1));
        assert_eq!(
            sum_of(&[json!(u64::MAX), json!(u64::MAX)]).total(),
            json!(36_893_488_147_419_103_232.0)
        );
        assert_eq!(
            sum_of(&[json!(9_007_199_254_740_993_i64)]).total(),
            json!(9_007_199_254_740_993_i64)
        );
    }

    #[test]
    fn sums_of_doubles_do_not_depend_on_the_order() {
        let values = [json!(1e300), json!(0.1), json!(-1e300), json!(3), json!(1e-20), json!(0.2)];
        let forward = sum_of(&values).total();
        let mut backward = values.clone();
        backward.reverse();
        assert_eq!(sum_of(&backward).total(), forward);
        assert_eq!(forward, json!(3.3));
        assert_eq!(sum_of(&[json!(0.1), json!(0.2)]).total(), json!(0.1 + 0.2));
        let tenths = vec![json!(0.1); 10];
        assert_eq!(sum_of(&tenths).total(), json!(1.0));
    }

    #[test]
    fn a_mean_is_an_integer_where_it_is_one() {
        assert_eq!(sum_of(&[]).mean(), json!(0));
        assert_eq!(sum_of(&[json!(1), json!(3)]).mean(), json!(2));
        assert_eq!(sum_of(&[json!(1), json!(2)]).mean(), json!(1.5));
        assert_eq!(sum_of(&[json!(0.5), json!(1)]).mean(), json!(0.75));
    }

    #[test]
    fn a_sum_beyond_all_doubles_is_null() {
        assert_eq!(sum_of(&[json!(f64::MAX), json!(f64::MAX)]).total(), Value::Null);
    }
}

//! Operators on dates: a number of milliseconds since 1970 or an ISO 8601 text
//! (UTC unless it says otherwise), looked at in a time zone.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ZonedDateTime};
use serde_json::{Value, json};
use tandem_base::Result;

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;
use crate::expression::wrong;
use crate::value::arithmetic::whole;

/// Where bins of `$dateTrunc` begin.
const REFERENCE: Date = Date::constant(2000, 1, 1);

const DAY_MS: i64 = 86_400_000;

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    match given.operator {
        O::DateAdd | O::DateSubtract => added(given),
        O::DateDiff => difference(given),
        O::DateTrunc => truncated(given),
        O::DateFromParts => from_parts(given),
        O::DateFromString => from_text(given),
        O::DateToString => to_text(given),
        O::DateToParts => {
            let Some(date) = zoned(given, 0, 1)? else { return Ok(Value::Null) };
            Ok(json!({
                "year": date.year(), "month": date.month(), "day": date.day(),
                "hour": date.hour(), "minute": date.minute(), "second": date.second(),
                "millisecond": date.millisecond(),
            }))
        }
        _ => {
            let Some(date) = zoned(given, 0, 1)? else { return Ok(Value::Null) };
            Ok(part(given.operator, &date).into())
        }
    }
}

fn part(operator: O, date: &ZonedDateTime) -> i64 {
    let sunday = i64::from(date.weekday().to_sunday_zero_offset());
    match operator {
        O::Year => date.year().into(),
        O::Month => date.month().into(),
        O::DayOfMonth => date.day().into(),
        O::DayOfYear => date.day_of_year().into(),
        O::DayOfWeek => sunday + 1,
        O::Week => (i64::from(date.day_of_year()) + 6 - sunday) / 7,
        O::Hour => date.hour().into(),
        O::Minute => date.minute().into(),
        O::Second => date.second().into(),
        O::Millisecond => date.millisecond().into(),
        O::IsoDayOfWeek => date.weekday().to_monday_one_offset().into(),
        O::IsoWeek => date.date().iso_week_date().week().into(),
        _ => date.date().iso_week_date().year().into(),
    }
}

/// A date as milliseconds since 1970.
pub(super) fn to_milliseconds(operator: &str, value: &Value) -> Result<i64> {
    let wrong = || wrong(operator, "a date: milliseconds since 1970 or an ISO 8601 text");
    match value {
        Value::Number(number) => whole(number)
            .or_else(|| {
                let double = number.as_f64().filter(|double| double.abs() < 9e18)?;
                #[expect(clippy::cast_possible_truncation, reason = "in range, as checked")]
                Some(double.floor() as i64)
            })
            .ok_or_else(wrong),
        Value::String(text) => {
            let found = parse(text, &TimeZone::UTC).ok_or_else(wrong)?;
            Ok(found.as_millisecond())
        }
        _ => Err(wrong()),
    }
}

/// A text with an offset, or a local one of a zone.
fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.len() > 64 {
        return None;
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        zone.to_timestamp(local).ok()
    })
}

/// The date of an operand in the zone of another; `None` if one is null.
fn zoned(given: &Operands<'_, '_>, date: usize, zone: usize) -> Result<Option<ZonedDateTime>> {
    let Some(zone) = time_zone(given, zone)? else { return Ok(None) };
    if given.or_null(date).is_null() {
        return Ok(None);
    }
    let milliseconds = to_milliseconds(given.name(), given.or_null(date))?;
    let timestamp = Timestamp::from_millisecond(milliseconds)
        .map_err(|_| given.wrong("a date between the years -9999 and 9999"))?;
    Ok(Some(timestamp.to_zoned_datetime(zone)))
}

/// The zone of an operand: UTC if there is none, `None` if it is null.
fn time_zone(given: &Operands<'_, '_>, at: usize) -> Result<Option<TimeZone>> {
    let name = match given.at(at) {
        None => return Ok(Some(TimeZone::UTC)),
        Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name.as_str(),
        Some(_) => return Err(given.wrong("string as \"timezone\"")),
    };
    let found = match name {
        "UTC" | "GMT" | "Z" => Some(TimeZone::UTC),
        _ if name.starts_with(['+', '-']) => offset(name).map(TimeZone::fixed),
        _ if name.len() <= 64 => TimeZone::get(name).ok(),
        _ => None,
    };
    found.map(Some).ok_or_else(|| given.wrong("a known time zone"))
}

/// `+hh`, `+hhmm`, `+hh:mm`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits = digits.replacen(':', "", 1);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse::<i32>().ok()?),
        _ => return None,
    };
    let seconds = 3600 * hours + 60 * minutes;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Months(i64),
    Days(i64),
    Milliseconds(i64),
    Week,
}

fn unit(given: &Operands<'_, '_>, at: usize) -> Result<Unit> {
    Ok(match given.at(at).and_then(Value::as_str) {
        Some("year") => Unit::Months(12),
        Some("quarter") => Unit::Months(3),
        Some("month") => Unit::Months(1),
        Some("week") => Unit::Week,
        Some("day") => Unit::Days(1),
        Some("hour") => Unit::Milliseconds(3_600_000),
        Some("minute") => Unit::Milliseconds(60_000),
        Some("second") => Unit::Milliseconds(1000),
        Some("millisecond") => Unit::Milliseconds(1),
        _ => {
            return Err(given.wrong(
                "one of year, quarter, month, week, day, hour, minute, second, millisecond as \
                 \"unit\"",
            ));
        }
    })
}

fn integer(given: &Operands<'_, '_>, at: usize, name: &str) -> Result<i64> {
    let number = given.at(at).and_then(Value::as_number);
    number.and_then(whole).ok_or_else(|| given.wrong(&format!("integer as \"{name}\"")))
}

fn added(given: &Operands<'_, '_>) -> Result<Value> {
    if given.any_nothing(3) {
        return Ok(Value::Null);
    }
    let Some(date) = zoned(given, 0, 3)? else { return Ok(Value::Null) };
    let amount = integer(given, 2, "amount")?;
    let amount =
        if given.operator == O::DateSubtract { amount.checked_neg() } else { Some(amount) };
    let span = |unit: Unit| -> Option<Span> {
        let amount = amount?;
        match unit {
            Unit::Months(months) => Span::new().try_months(amount.checked_mul(months)?).ok(),
            Unit::Days(days) => Span::new().try_days(amount.checked_mul(days)?).ok(),
            Unit::Week => Span::new().try_days(amount.checked_mul(7)?).ok(),
            Unit::Milliseconds(unit) => {
                Span::new().try_milliseconds(amount.checked_mul(unit)?).ok()
            }
        }
    };
    span(unit(given, 1)?)
        .and_then(|span| date.checked_add(span).ok())
        .map(|date| date.timestamp().as_millisecond().into())
        .ok_or_else(|| given.wrong("a result between the years -9999 and 9999"))
}

fn day_number(date: Date) -> i64 {
    let midnight = date.at(0, 0, 0, 0);
    TimeZone::UTC.to_timestamp(midnight).map_or(0, |t| t.as_millisecond().div_euclid(DAY_MS))
}

fn month_number(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// Which day a week begins with; Sunday unless told otherwise.
fn week_start(given: &Operands<'_, '_>, at: usize) -> Result<Weekday> {
    let Some(name) = given.at(at).filter(|name| !name.is_null()) else {
        return Ok(Weekday::Sunday);
    };
    Ok(match name.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("monday" | "mon") => Weekday::Monday,
        Some("tuesday" | "tue") => Weekday::Tuesday,
        Some("wednesday" | "wed") => Weekday::Wednesday,
        Some("thursday" | "thu") => Weekday::Thursday,
        Some("friday" | "fri") => Weekday::Friday,
        Some("saturday" | "sat") => Weekday::Saturday,
        Some("sunday" | "sun") => Weekday::Sunday,
        _ => return Err(given.wrong("a day of the week as \"startOfWeek\"")),
    })
}

/// A day of the week as a day number: 1970-01-01 was a Thursday.
fn first_of(weekday: Weekday) -> i64 {
    i64::from(weekday.to_monday_zero_offset()) - 3
}

/// How many boundaries of the unit lie between two dates.
fn difference(given: &Operands<'_, '_>) -> Result<Value> {
    if given.any_nothing(3) {
        return Ok(Value::Null);
    }
    let (Some(from), Some(to)) = (zoned(given, 0, 3)?, zoned(given, 1, 3)?) else {
        return Ok(Value::Null);
    };
    let (first, last) = (from.date(), to.date());
    let between = |a: i64, b: i64, unit: i64| b.div_euclid(unit) - a.div_euclid(unit);
    Ok(match unit(given, 2)? {
        Unit::Months(months) => between(month_number(first), month_number(last), months),
        Unit::Days(days) => between(day_number(first), day_number(last), days),
        Unit::Week => {
            let start = first_of(week_start(given, 4)?);
            between(day_number(first) - start, day_number(last) - start, 7)
        }
        Unit::Milliseconds(unit) => {
            let offset = i64::from(from.offset().seconds()) * 1000;
            let (a, b) = (from.timestamp().as_millisecond(), to.timestamp().as_millisecond());
            between(a + offset, b + offset, unit)
        }
    }
    .into())
}

fn truncated(given: &Operands<'_, '_>) -> Result<Value> {
    if given.any_nothing(2) {
        return Ok(Value::Null);
    }
    let Some(date) = zoned(given, 0, 3)? else { return Ok(Value::Null) };
    let size = match given.at(2) {
        None => 1,
        Some(Value::Null) => return Ok(Value::Null),
        Some(_) => integer(given, 2, "binSize")?,
    };
    if !(1..=100_000_000_000).contains(&size) {
        return Err(given.wrong("a positive \"binSize\""));
    }
    let out_of_range = || given.wrong("a result between the years -9999 and 9999");
    let zone = date.time_zone();
    let at_midnight = |day: Option<Date>| -> Result<Value> {
        let midnight = day.ok_or_else(out_of_range)?.at(0, 0, 0, 0);
        let timestamp = zone.to_timestamp(midnight).map_err(|_| out_of_range())?;
        Ok(timestamp.as_millisecond().into())
    };
    let down = |number: i64, reference: i64, bin: i64| {
        reference + (number - reference).div_euclid(bin) * bin
    };
    let day_of = |number: i64| {
        let timestamp = Timestamp::from_millisecond(number.checked_mul(DAY_MS)?).ok()?;
        Some(timestamp.to_zoned_datetime(TimeZone::UTC).date())
    };
    match unit(given, 1)? {
        Unit::Months(months) => {
            let bin = months.checked_mul(size).ok_or_else(out_of_range)?;
            let month = down(month_number(date.date()), month_number(REFERENCE), bin);
            let year = i16::try_from(month.div_euclid(12)).map_err(|_| out_of_range())?;
            let month = i8::try_from(month.rem_euclid(12) + 1).map_err(|_| out_of_range())?;
            at_midnight(Date::new(year, month, 1).ok())
        }
        Unit::Days(_) => {
            at_midnight(day_of(down(day_number(date.date()), day_number(REFERENCE), size)))
        }
        Unit::Week => {
            let start = first_of(week_start(given, 4)?);
            let reference = day_number(REFERENCE);
            // The first such day of the week from the reference on.
            let first = reference + (start - reference).rem_euclid(7);
            at_midnight(day_of(down(day_number(date.date()), first, 7 * size)))
        }
        Unit::Milliseconds(unit) => {
            let bin = unit.checked_mul(size).ok_or_else(out_of_range)?;
            let offset = i64::from(date.offset().seconds()) * 1000;
            let local = date.timestamp().as_millisecond() + offset;
            let reference = day_number(REFERENCE) * DAY_MS;
            Ok((down(local, reference, bin) - offset).into())
        }
    }
}

/// Parts beyond their range carry over, as the 14th month does.
fn from_parts(given: &Operands<'_, '_>) -> Result<Value> {
    const DEFAULTS: [i64; 7] = [0, 1, 1, 0, 0, 0, 0];
    const NAMES: [&str; 7] = ["year", "month", "day", "hour", "minute", "second", "millisecond"];
    let Some(zone) = time_zone(given, 7)? else { return Ok(Value::Null) };
    let mut parts = DEFAULTS;
    for (at, part) in parts.iter_mut().enumerate() {
        match given.at(at) {
            None if at == 0 => return Ok(Value::Null),
            None => {}
            Some(Value::Null) => return Ok(Value::Null),
            Some(_) => *part = integer(given, at, NAMES[at])?,
        }
        if part.abs() > 1_000_000_000_000 {
            return Err(given.wrong("a date between the years -9999 and 9999"));
        }
    }
    let [year, month, day, hour, minute, second, millisecond] = parts;
    let date = || -> Option<Timestamp> {
        let months = (month - 1).rem_euclid(12);
        let year = i16::try_from(year.checked_add((month - 1).div_euclid(12))?).ok()?;
        let first = Date::new(year, i8::try_from(months + 1).ok()?, 1).ok()?;
        let local = first
            .at(0, 0, 0, 0)
            .checked_add(Span::new().try_days(day - 1).ok()?)
            .ok()?
            .checked_add(Span::new().try_hours(hour).ok()?)
            .ok()?
            .checked_add(Span::new().try_minutes(minute).ok()?)
            .ok()?
            .checked_add(Span::new().try_seconds(second).ok()?)
            .ok()?
            .checked_add(Span::new().try_milliseconds(millisecond).ok()?)
            .ok()?;
        zone.to_timestamp(local).ok()
    };
    date()
        .map(|date| date.as_millisecond().into())
        .ok_or_else(|| given.wrong("a date between the years -9999 and 9999"))
}

fn from_text(given: &Operands<'_, '_>) -> Result<Value> {
    let other = |at: usize| given.at(at).map_or(Ok(Value::Null), |value| given.meter.copy(value));
    if given.or_null(0).is_null() {
        return other(3);
    }
    let Some(zone) = time_zone(given, 1)? else { return Ok(Value::Null) };
    let found = given.at(0).and_then(Value::as_str).and_then(|text| parse(text, &zone));
    match found {
        Some(date) => Ok(date.as_millisecond().into()),
        None if given.all.get(2).is_some_and(Option::is_some) => other(2),
        None => Err(given.wrong("an ISO 8601 text")),
    }
}

fn to_text(given: &Operands<'_, '_>) -> Result<Value> {
    let Some(date) = zoned(given, 0, 2)? else {
        return given.at(3).map_or(Ok(Value::Null), |value| given.meter.copy(value));
    };
    let format = match given.at(1) {
        None if date.offset().is_zero() => "%Y-%m-%dT%H:%M:%S.%LZ",
        None => "%Y-%m-%dT%H:%M:%S.%L%z",
        Some(Value::Null) => return Ok(Value::Null),
        Some(Value::String(format)) => format,
        Some(_) => return Err(given.wrong("string as \"format\"")),
    };
    given.meter.spend(8 * format.len())?;
    let mut made = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        let known = match letters.next() {
            Some(letter) => formatted(letter, &date, &mut made),
            None => false,
        };
        if !known {
            return Err(
                given.wrong("a format of %Y %m %d %H %M %S %L %j %u %U %V %G %b %B %z %Z %%")
            );
        }
    }
    Ok(made.into())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Appends one part of a date; says whether the letter stands for one.
fn formatted(letter: char, date: &ZonedDateTime, out: &mut String) -> bool {
    let iso = date.date().iso_week_date();
    let month = MONTHS[usize::from(date.month().unsigned_abs() - 1) % 12];
    let minutes = date.offset().seconds() / 60;
    let written = match letter {
        'Y' => write!(out, "{:04}", date.year()),
        'm' => write!(out, "{:02}", date.month()),
        'd' => write!(out, "{:02}", date.day()),
        'H' => write!(out, "{:02}", date.hour()),
        'M' => write!(out, "{:02}", date.minute()),
        'S' => write!(out, "{:02}", date.second()),
        'L' => write!(out, "{:03}", date.millisecond()),
        'j' => write!(out, "{:03}", date.day_of_year()),
        'u' => write!(out, "{}", date.weekday().to_monday_one_offset()),
        'w' => write!(out, "{}", part(O::DayOfWeek, date)),
        'U' => write!(out, "{:02}", part(O::Week, date)),
        'V' => write!(out, "{:02}", iso.week()),
        'G' => write!(out, "{:04}", iso.year()),
        'b' => write!(out, "{}", &month[..3]),
        'B' => write!(out, "{month}"),
        'z' => {
            let sign = if minutes < 0 { '-' } else { '+' };
            write!(out, "{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
        'Z' => write!(out, "{minutes:+04}"),
        '%' => write!(out, "%"),
        _ => return false,
    };
    written.is_ok()
}

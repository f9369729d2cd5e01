/// `YYYY-MM-DD`, or with `THH:MM:SS`, a fraction and a zone after it: a day of
/// the calendar, whose time (read as UTC without a zone) is on that day in UTC.
pub(super) fn is_iso_date(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let mut rest = text;
    let year = number(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = number(&mut rest, 2)?;
    literal(&mut rest, b'-')?;
    let day = number(&mut rest, 2)?;
    if day == 0 || day > days_of(year, month)? {
        return None;
    }
    if rest.is_empty() {
        return Some(());
    }
    literal(&mut rest, b'T')?;
    let hour = number(&mut rest, 2).filter(|hour| *hour < 24)?;
    literal(&mut rest, b':')?;
    let minute = number(&mut rest, 2).filter(|minute| *minute < 60)?;
    literal(&mut rest, b':')?;
    number(&mut rest, 2).filter(|second| *second < 60)?;
    if literal(&mut rest, b'.').is_some() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = rest.get(digits..).filter(|_| digits > 0)?;
    }
    let minutes = hour * 60 + minute;
    let minutes_utc = match rest.split_first() {
        None => minutes,
        Some((b'Z', after)) => {
            rest = after;
            minutes
        }
        Some((sign @ (b'+' | b'-'), after)) => {
            rest = after;
            let hours = number(&mut rest, 2).filter(|hours| *hours < 24)?;
            literal(&mut rest, b':')?;
            let offset = hours * 60 + number(&mut rest, 2).filter(|minutes| *minutes < 60)?;
            if *sign == b'+' { minutes - offset } else { minutes + offset }
        }
        Some(_) => return None,
    };
    (rest.is_empty() && (0..24 * 60).contains(&minutes_utc)).then_some(())
}

fn number(rest: &mut &[u8], length: usize) -> Option<i32> {
    let (digits, after) = rest.split_at_checked(length)?;
    *rest = after;
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0'))
    })
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[expected])?;
    Some(())
}

fn days_of(year: i32, month: i32) -> Option<i32> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap { 29 } else { 28 }),
        _ => None,
    }
}

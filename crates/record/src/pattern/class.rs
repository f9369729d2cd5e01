//! Character classes: `[…]`, and the escapes that stand for one.

use super::translate::Characters;

pub(super) const DIGIT: &str = "0-9";
pub(super) const WORD: &str = "0-9A-Za-z_";
pub(super) const SPACE: &str = concat!(
    r"\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}",
    r"\x{202f}\x{205f}\x{3000}\x{feff}"
);

/// What stands in a class between two hyphens.
enum Atom {
    Character(char),
    Set(String),
}

/// Translates a class whose opening bracket was read.
pub(super) fn translate_class(input: &mut Characters<'_>, out: &mut String) -> Result<(), String> {
    let negated = input.next_if('^');
    let mut inside = String::new();
    loop {
        let atom = match input.next() {
            None => return Err("has an unclosed class".to_owned()),
            Some(']') => break,
            Some(character) => atom(character, input)?,
        };
        if input.peek() != Some('-') || matches!(input.peek_second(), None | Some(']')) {
            push(&atom, &mut inside);
            continue;
        }
        input.next();
        let Some(character) = input.next() else { return Err("has an unclosed class".to_owned()) };
        match (atom, self::atom(character, input)?) {
            (Atom::Character(first), Atom::Character(last)) => {
                if first > last {
                    return Err("has a range that is out of order".to_owned());
                }
                push(&Atom::Character(first), &mut inside);
                inside.push('-');
                push(&Atom::Character(last), &mut inside);
            }
            (first, last) => {
                for atom in [first, Atom::Character('-'), last] {
                    push(&atom, &mut inside);
                }
            }
        }
    }
    match (inside.is_empty(), negated) {
        (true, true) => out.push_str("(?s:.)"),
        (true, false) => out.push_str(r"[^\x{0}-\x{10ffff}]"),
        (false, true) => out.push_str(&format!("[^{inside}]")),
        (false, false) => out.push_str(&format!("[{inside}]")),
    }
    Ok(())
}

fn atom(character: char, input: &mut Characters<'_>) -> Result<Atom, String> {
    if character != '\\' {
        return Ok(Atom::Character(character));
    }
    match input.peek() {
        Some('b') => {
            input.next();
            Ok(Atom::Character('\u{8}'))
        }
        Some('-') => {
            input.next();
            Ok(Atom::Character('-'))
        }
        _ => Ok(match input.escape()? {
            Escape::Character(character) => Atom::Character(character),
            Escape::Set(set) => Atom::Set(set),
        }),
    }
}

fn push(atom: &Atom, out: &mut String) {
    match atom {
        Atom::Character(character) => out.push_str(&literal(*character)),
        Atom::Set(set) => out.push_str(set),
    }
}

/// What an escape outside of assertions stands for.
pub(super) enum Escape {
    /// One character.
    Character(char),
    /// A class, in brackets.
    Set(String),
}

/// A character so that it means itself anywhere.
pub(super) fn literal(character: char) -> String {
    if character.is_alphanumeric() {
        character.to_string()
    } else {
        format!("\\x{{{:x}}}", u32::from(character))
    }
}

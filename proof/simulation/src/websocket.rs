//! The client's side of WebSocket framing, as much of it as the server speaks.

use crate::dice::Dice;

/// What a server's frame is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(Vec<u8>),
    Close(u16),
}

/// A text message, masked; sometimes in two fragments.
pub(crate) fn text(dice: &Dice, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 28);
    if payload.len() > 1 && dice.chance(10) {
        let (head, tail) = payload.split_at(dice.below(payload.len() - 1) + 1);
        frame(dice, 0x01, head, &mut out);
        frame(dice, 0x80, tail, &mut out);
    } else {
        frame(dice, 0x81, payload, &mut out);
    }
    out
}

fn frame(dice: &Dice, first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    let mask = dice.word().to_le_bytes();
    out.extend_from_slice(&mask[..4]);
    out.extend(payload.iter().zip(mask[..4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Takes the first whole frame out of `buffer`. The server sends none in
/// fragments and masks none.
pub(crate) fn take(buffer: &mut Vec<u8>) -> Result<Option<Incoming>, String> {
    let [first, second, ..] = buffer[..] else { return Ok(None) };
    let (head, length) = match second {
        126 => match buffer.get(2..4) {
            Some(bytes) => (4, usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
            None => return Ok(None),
        },
        127 => match buffer.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(bytes) => {
                (10, usize::try_from(u64::from_be_bytes(bytes)).map_err(|e| e.to_string())?)
            }
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    if buffer.len() < head + length {
        return Ok(None);
    }
    let payload = buffer[head..head + length].to_vec();
    buffer.drain(..head + length);
    match first {
        0x81 => Ok(Some(Incoming::Text(payload))),
        0x88 => {
            let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            Ok(Some(Incoming::Close(code)))
        }
        other => Err(format!("a frame that begins with {other:#04x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let mut buffer = vec![0x81, 2, b'h', b'i', 0x88, 2, 0x03, 0xE8, 0x81];
        assert_eq!(take(&mut buffer), Ok(Some(Incoming::Text(b"hi".to_vec()))));
        assert_eq!(take(&mut buffer), Ok(Some(Incoming::Close(1000))));
        assert_eq!(take(&mut buffer), Ok(None));
        assert_eq!(buffer, [0x81]);
    }
}

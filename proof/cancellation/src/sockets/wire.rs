//! The client's side of WebSocket framing.

/// A text message, masked with zeros.
#[must_use]
pub fn text(payload: &str) -> Vec<u8> {
    let length = payload.len();
    let mut out = vec![0x81];
    match u8::try_from(length) {
        Ok(short) if short < 126 => out.push(0x80 | short),
        _ => {
            out.push(0x80 | 126);
            let length = u16::try_from(length).expect("requests are small");
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload.as_bytes());
    out
}

/// The text messages in what a server has sent, as far as they are whole.
#[must_use]
pub fn whole_frames(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some((first, payload, rest)) = take(bytes) {
        if first == 0x81 {
            frames.push(String::from_utf8(payload.to_vec()).expect("frames are text"));
        }
        bytes = rest;
    }
    frames
}

/// First byte, payload, rest.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(head..head + length)?;
    Some((bytes[0], payload, &bytes[head + length..]))
}

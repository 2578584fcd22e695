//! A file's bytes, with holes.

use std::collections::BTreeMap;

const PAGE_BYTES: usize = 4096;

/// What a file holds; what was never written is zeros and takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    length: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Pages {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that take memory.
    pub(crate) fn held_bytes(&self) -> u64 {
        (self.pages.len() * PAGE_BYTES) as u64
    }

    /// At most that many bytes; fewer at the end.
    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Vec<u8> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut out = vec![0; bytes.min(left)];
        for (page, within, range) in spans(offset, out.len()) {
            if let Some(held) = self.pages.get(&page) {
                let length = range.len();
                out[range].copy_from_slice(&held[within..within + length]);
            }
        }
        out
    }

    /// Writes, and grows where that is needed.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, range) in spans(offset, bytes.len()) {
            let held = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            let length = range.len();
            held[within..within + length].copy_from_slice(&bytes[range]);
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    /// Cuts off, or grows by a hole.
    pub(crate) fn resize(&mut self, length: u64) {
        if length < self.length {
            let page_bytes = PAGE_BYTES as u64;
            drop(self.pages.split_off(&length.div_ceil(page_bytes)));
            let within = usize::try_from(length % page_bytes).expect("less than a page");
            if within > 0
                && let Some(last) = self.pages.get_mut(&(length / page_bytes))
            {
                last[within..].fill(0);
            }
        }
        self.length = length;
    }
}

/// The pages of a range: number, offset within the page, and the part of the range that lies in it.
fn spans(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= bytes {
            return None;
        }
        let at = offset + done as u64;
        let within = usize::try_from(at % PAGE_BYTES as u64).expect("less than a page");
        let length = (PAGE_BYTES - within).min(bytes - done);
        let range = done..done + length;
        done += length;
        Some((at / PAGE_BYTES as u64, within, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_as_a_vector() {
        let random = lambent_base::Random::seeded(5);
        let (mut pages, mut model) = (Pages::default(), Vec::new());
        for _ in 0..300 {
            let offset = (random.u64() % 20_000) as usize;
            let length = (random.u64() % 9_000) as usize;
            if random.u64().is_multiple_of(4) {
                pages.resize(offset as u64);
                model.resize(offset, 0);
            } else {
                let mut bytes = vec![0; length];
                random.fill(&mut bytes);
                pages.write(offset as u64, &bytes);
                if length > 0 {
                    model.resize(model.len().max(offset + length), 0);
                    model[offset..offset + length].copy_from_slice(&bytes);
                } else {
                    model.resize(model.len().max(offset), 0);
                }
            }
            assert_eq!(pages.read(0, usize::MAX), model);
            let (start, end) = (model.len().min(offset), model.len().min(offset + length));
            assert_eq!(pages.read(offset as u64, length), model[start..end]);
        }
    }
}

//! Reading values from bytes, front to back.

/// The next `N` bytes; `rest` goes on behind them. None when there are fewer.
pub(super) fn take_chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*chunk)
}

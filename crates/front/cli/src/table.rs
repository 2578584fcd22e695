//! Tables of plain text.

/// Between two columns.
const GAP: &str = "  ";

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a head, each column as wide as its widest cell; no spaces at the ends of lines.
pub(crate) fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain(std::iter::once(&titles)).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let cells =
            row.iter().zip(head.iter().zip(&widths)).map(|(cell, ((_, align), &width))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_columns() {
        let rows = [vec!["é".to_owned(), "1,000".to_owned()], vec!["long name".to_owned(), "1".to_owned()]];
        let text = table(&[("NAME", Align::Left), ("COUNT", Align::Right)], &rows);
        assert_eq!(text, "NAME       COUNT\né          1,000\nlong name      1\n");
    }
}

// SPDX-License-Identifier: GPL-2.0
//! Plain tables: words to the left, figures to the right.

/// The rows as aligned text, the header first. Every row has as many cells as the header.
pub fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|cell| cell.to_string()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&header).chain(rows);
        cells
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let figures: Vec<bool> = (0..header.len())
        .map(|column| !rows.is_empty() && rows.iter().all(|row| is_figure(&row[column])))
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(width(column) - cell.chars().count());
            let gap = if column == 0 { "" } else { "  " };
            line += gap;
            match figures[column] {
                true => line += &(pad + cell),
                false => line += &format!("{cell}{pad}"),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn is_figure(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_to_the_right() {
        let rows = vec![
            vec!["a".into(), "5".into()],
            vec!["bcd".into(), "12".into()],
        ];
        assert_eq!(
            render(&["name", "n"], &rows),
            "name   n\na      5\nbcd   12\n"
        );
    }
}

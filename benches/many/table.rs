//! One table of all figures. Each part of it has steps of its own, and each figure is printed with its growth from the
//! step before.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// The most steps that a part has.
const COLUMNS: usize = 4;

pub struct Report {
    table: Table,
}

impl Report {
    pub fn new() -> Report {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        Report { table }
    }

    /// What follows is told of these steps.
    pub fn part(&mut self, title: &str, steps: impl IntoIterator<Item = usize>) {
        if self.table.row_count() > 0 {
            self.add("", []);
        }
        self.add(title, steps.into_iter().map(thousands));
    }

    /// `12.3 (x1.9)`: the figure, and how many times that of the step before it is.
    pub fn row(&mut self, name: &str, decimals: usize, figures: impl IntoIterator<Item = f64>) {
        let mut before: Option<f64> = None;
        let cells = figures.into_iter().map(|figure| {
            let growth = before.replace(figure).map(|before| figure / before).filter(|growth| growth.is_finite());
            let growth = growth.map_or_else(String::new, |growth| format!(" (x{growth:.2})"));
            format!("{figure:.decimals$}{growth}")
        });
        self.add(&format!("  {name}"), cells);
    }

    pub fn print(mut self) {
        for column in self.table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{}", self.table);
    }

    fn add(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().chain(std::iter::repeat(String::new())).take(COLUMNS);
        self.table.add_row(std::iter::once(name.to_owned()).chain(cells).map(Cell::new));
    }
}

/// `10 000`.
fn thousands(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        above => format!("{} {:03}", thousands(above), number % 1000),
    }
}

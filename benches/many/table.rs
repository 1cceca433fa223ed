//! Figures of several steps side by side, each with its growth from the step before.

use comfy_table::{CellAlignment, Table, presets};

pub struct Steps {
    table: Table,
}

impl Steps {
    /// `steps` names each column of figures.
    pub fn new(title: &str, steps: impl Iterator<Item = String>) -> Steps {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_header(std::iter::once(title.to_owned()).chain(steps));
        Steps { table }
    }

    /// `12.3 (x1.9)`: the figure, and how many times that of the step before it is.
    pub fn row(&mut self, name: &str, decimals: usize, figures: impl IntoIterator<Item = f64>) {
        let mut before: Option<f64> = None;
        let cells = figures.into_iter().map(|figure| {
            let growth = before.replace(figure).map(|before| figure / before).filter(|growth| growth.is_finite());
            let growth = growth.map_or_else(String::new, |growth| format!(" (x{growth:.2})"));
            format!("{figure:.decimals$}{growth}")
        });
        self.table.add_row(std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>());
    }

    pub fn print(mut self) {
        for column in self.table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{}", self.table);
    }
}

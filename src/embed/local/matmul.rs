//! Matrix products: views whose bounds are checked at construction, and the only unsafe block.
//!
//! A product runs on the calling thread alone: `pool` decides how many cores are used.
#![expect(unsafe_code, reason = "the gemm crate takes pointers; the views prove their bounds")]

use gemm::Parallelism;

use crate::embed::local::error::Error;

/// A matrix inside a slice: element (r, c) lies at `r * row_step + c * column_step`, all within
/// `data`. A view copies nothing, so one head's columns or one text's rows can be multiplied in
/// place.
pub(super) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

/// A matrix to write: element (r, c) lies at `r * step + c`, and no two elements overlap. What lies
/// between two rows is left alone.
pub(super) struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    step: usize,
}

/// What happens to the numbers already in the output.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Before {
    /// Added to the product.
    Add,
    /// Ignored. Even NaN there does no harm.
    Overwrite,
}

impl<'a> View<'a> {
    /// Rows of `columns` numbers, each `step` after the one before; an error if beyond `data`.
    ///
    /// The last row may end before its `step` does, so a view can begin in the middle of a row.
    /// `Error::Shape` also without rows or columns, and where rows would overlap.
    pub(super) fn new(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        step: usize,
    ) -> Result<Self, Error> {
        check(data.len(), rows, columns, step)?;
        Ok(Self { data, rows, columns, row_step: step, column_step: 1 })
    }

    /// The same data with rows and columns swapped.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            data: self.data,
        }
    }
}

impl<'a> ViewMut<'a> {
    /// Rows of `columns` numbers, each `step` after the one before; an error if beyond `data`.
    ///
    /// The same conditions as for a `View`.
    pub(super) fn new(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        step: usize,
    ) -> Result<Self, Error> {
        check(data.len(), rows, columns, step)?;
        Ok(Self { data, rows, columns, step })
    }

    /// `self = [self +] scale · left · right`.
    ///
    /// For `left` of `[rows × k]` and `right` of `[k × columns]`, in `2 · rows · k · columns`
    /// operations; any other shapes are `Error::Shape`, and nothing is written. `scale` applies to
    /// the product only, not to what is there.
    pub(super) fn multiply(
        self,
        before: Before,
        scale: f32,
        left: &View<'_>,
        right: &View<'_>,
    ) -> Result<(), Error> {
        let fits =
            left.rows == self.rows && right.columns == self.columns && left.columns == right.rows;
        if !fits {
            return Err(Error::Shape { what: "the factors of a product" });
        }
        // SAFETY: every view's elements lie within its slice (`check`, called by both constructors,
        // the only ones; transposing swaps both pairs), the shapes agree (`fits`), and the output,
        // borrowed mutably, overlaps neither factor nor itself (`step >= columns`).
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                left.columns,
                self.data.as_mut_ptr(),
                1,
                self.step.cast_signed(),
                before == Before::Add,
                left.data.as_ptr(),
                left.column_step.cast_signed(),
                left.row_step.cast_signed(),
                right.data.as_ptr(),
                right.column_step.cast_signed(),
                right.row_step.cast_signed(),
                1.0,
                scale,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        Ok(())
    }
}

/// A slice has at most `isize::MAX` bytes, so steps that pass also fit into an `isize`. An end that
/// overflows counts as outside.
fn check(length: usize, rows: usize, columns: usize, step: usize) -> Result<(), Error> {
    let end = rows.checked_sub(1).and_then(|last| last.checked_mul(step)?.checked_add(columns));
    let inside = end.is_some_and(|end| end <= length);
    let apart = step >= columns && columns > 0 && step <= length;
    (inside && apart).then_some(()).ok_or(Error::Shape { what: "a matrix outside its memory" })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
mod tests {
    use super::*;

    const LEFT: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    #[test]
    fn a_product_with_a_transpose_adds_to_what_is_there() {
        let mut out = [100.0, 0.0, -1.0, 0.0, 0.0, -1.0];
        let left = View::new(&LEFT, 2, 3, 3).unwrap();
        let right = View::new(&LEFT, 2, 3, 3).unwrap().transposed();
        let view = ViewMut::new(&mut out, 2, 2, 3).unwrap();
        view.multiply(Before::Add, 1.0, &left, &right).unwrap();
        assert_eq!(out, [114.0, 32.0, -1.0, 32.0, 77.0, -1.0]);
    }

    #[test]
    fn an_overwriting_product_ignores_what_is_there() {
        let mut out = [f32::NAN; 1];
        let left = View::new(&LEFT, 1, 3, 3).unwrap();
        let right = View::new(&LEFT, 3, 1, 2).unwrap();
        let view = ViewMut::new(&mut out, 1, 1, 1).unwrap();
        view.multiply(Before::Overwrite, 0.5, &left, &right).unwrap();
        assert_eq!(out, [11.0]);
    }

    #[test]
    fn a_view_larger_than_its_slice_cannot_be_made() {
        for (rows, columns, step) in
            [(2, 3, 4), (3, 3, 3), (1, 7, 7), (2, 3, 2), (0, 3, 3), (2, 0, 1), (2, 3, usize::MAX)]
        {
            assert!(View::new(&LEFT, rows, columns, step).is_err(), "{rows} {columns} {step}");
        }
    }

    #[test]
    fn factors_that_do_not_fit_are_an_error() {
        let mut out = [0.0; 4];
        let left = View::new(&LEFT, 2, 3, 3).unwrap();
        let right = View::new(&LEFT, 2, 2, 2).unwrap();
        let view = ViewMut::new(&mut out, 2, 2, 2).unwrap();
        assert!(view.multiply(Before::Add, 1.0, &left, &right).is_err());
    }
}

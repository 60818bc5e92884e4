//! Matrices inside of tensors and their products.

use burn_flex::FlexTensor;
use gemm::Parallelism;

/// Below this many products a call is not worth more than one core.
pub(super) const ONE_CORE: usize = 1 << 20;

/// A matrix inside of a tensor: an offset and two strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A tensor of rank 2. Views are read where they lie.
    pub(super) fn plain(tensor: &'a FlexTensor) -> Self {
        let strides = strides(tensor);
        Matrix {
            values: &tensor.storage::<f32>()[tensor.layout().start_offset()..],
            rows: tensor.layout().shape()[0],
            columns: tensor.layout().shape()[1],
            row_stride: strides[0],
            column_stride: strides[1],
        }
    }

    /// The last two axes of a tensor of rank 4, at `[first, second]`. Views are read where they lie.
    pub(super) fn from_tensor(tensor: &'a FlexTensor, first: usize, second: usize) -> Self {
        let layout = tensor.layout();
        let strides = strides(tensor);
        let from = layout.start_offset() + first * strides[0] + second * strides[1];
        Matrix {
            values: &tensor.storage::<f32>()[from..],
            rows: layout.shape()[2],
            columns: layout.shape()[3],
            row_stride: strides[2],
            column_stride: strides[3],
        }
    }

    pub(super) fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Matrix {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    pub(super) fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the rows.
    pub(super) fn rows(self, span: std::ops::Range<usize>) -> Self {
        Matrix {
            values: &self.values[(span.start * self.row_stride).min(self.values.len())..],
            rows: span.len(),
            ..self
        }
    }

    /// Some of the columns.
    pub(super) fn columns(self, span: std::ops::Range<usize>) -> Self {
        self.transposed().rows(span).transposed()
    }

    fn span(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }

    /// `out = keep · out + scale · self · right`; the rows of `out` lie `stride` apart.
    pub(super) fn times(
        self,
        right: Matrix,
        out: &mut [f32],
        stride: usize,
        keep: bool,
        scale: f32,
    ) {
        self.product(right, out, stride, keep, scale, Parallelism::None);
    }

    /// As [`Matrix::times`] with a dense `out`, on all cores where that pays.
    pub(super) fn times_on_all_cores(self, right: Matrix, out: &mut [f32]) {
        let cores = match self.rows * self.columns * right.columns < ONE_CORE {
            true => Parallelism::None,
            false => Parallelism::Rayon(0),
        };
        self.product(right, out, right.columns, false, 1.0, cores);
    }

    fn product(
        self,
        right: Matrix,
        out: &mut [f32],
        stride: usize,
        keep: bool,
        scale: f32,
        cores: Parallelism,
    ) {
        let (m, n, k) = (self.rows, right.columns, self.columns);
        if m == 0 || n == 0 || k == 0 {
            return;
        }
        assert_eq!(k, right.rows, "the inner axes agree");
        assert!(stride >= n && out.len() >= (m - 1) * stride + n);
        assert!(self.values.len() >= self.span() && right.values.len() >= right.span());
        // SAFETY: the assertions above keep every index of the three matrices inside of its slice, and `out` is
        // borrowed alone.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                stride as isize,
                keep,
                self.values.as_ptr(),
                self.column_stride as isize,
                self.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                cores,
            );
        }
    }
}

fn strides(tensor: &FlexTensor) -> Vec<usize> {
    tensor
        .layout()
        .strides()
        .iter()
        .map(|&stride| usize::try_from(stride).expect("no axis is flipped"))
        .collect()
}

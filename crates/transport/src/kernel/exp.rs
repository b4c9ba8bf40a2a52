//! exp and ln without branches: a loop over them becomes vector code.

/// 1.5 · 2^52: adding it rounds to an integer, held in the lowest bits.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;
/// 1.5 · 2^23.
const ROUND_F32: f32 = 12_582_912.0;

/// exp(x) by exp(x) = 2^k exp(r), |r| ≤ ln 2 / 2, and a Taylor polynomial whose remainder is below
/// a tenth of a unit in the last place.
#[inline(always)]
pub(crate) fn exp_f64(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    // Below the smallest normal number the bits of 2^k would wrap; NaN cannot come.
    let clamped = if x < -708.0 { -708.0 } else { x };
    let clamped = if clamped > 709.0 { 709.0 } else { clamped };
    let shifted = clamped.mul_add(std::f64::consts::LOG2_E, ROUND_F64);
    let k = shifted - ROUND_F64;
    let r = k.mul_add(-LN2_LO, k.mul_add(-LN2_HI, clamped));
    let mut p = 1.0 / 6_227_020_800.0;
    p = r.mul_add(p, 1.0 / 479_001_600.0);
    p = r.mul_add(p, 1.0 / 39_916_800.0);
    p = r.mul_add(p, 1.0 / 3_628_800.0);
    p = r.mul_add(p, 1.0 / 362_880.0);
    p = r.mul_add(p, 1.0 / 40_320.0);
    p = r.mul_add(p, 1.0 / 5_040.0);
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    if x < -708.0 { 0.0 } else { p * scale }
}

/// [`exp_f64`] in single precision.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND_F32);
    let k = shifted - ROUND_F32;
    let r = k.mul_add(-LN2_LO, k.mul_add(-LN2_HI, clamped));
    let mut p = 1.0 / 5_040.0;
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if x < -87.0 { 0.0 } else { p * scale }
}

/// ln(x) for normal positive x, by x = 2^k m with m near 1 and
/// ln m = 2 artanh((m − 1) / (m + 1)), to within two units in the last place.
#[inline(always)]
pub(crate) fn ln_f64(x: f64) -> f64 {
    /// 2^52, whose lowest bits count in ones.
    const COUNT: u64 = 0x4330_0000_0000_0000;
    const MANTISSA: u64 = 0x000F_FFFF_FFFF_FFFF;
    let bits = x.to_bits();
    let raised = f64::from_bits((bits & MANTISSA) | 1.0f64.to_bits());
    let above = raised > std::f64::consts::SQRT_2;
    let m = if above { 0.5 * raised } else { raised };
    let k = f64::from_bits((bits >> 52) | COUNT)
        - f64::from_bits(COUNT)
        - if above { 1022.0 } else { 1023.0 };
    let f = (m - 1.0) / (m + 1.0);
    let s = f * f;
    let mut p = 1.0 / 21.0;
    p = s.mul_add(p, 1.0 / 19.0);
    p = s.mul_add(p, 1.0 / 17.0);
    p = s.mul_add(p, 1.0 / 15.0);
    p = s.mul_add(p, 1.0 / 13.0);
    p = s.mul_add(p, 1.0 / 11.0);
    p = s.mul_add(p, 1.0 / 9.0);
    p = s.mul_add(p, 1.0 / 7.0);
    p = s.mul_add(p, 1.0 / 5.0);
    p = s.mul_add(p, 1.0 / 3.0);
    let tail = 2.0 * f * s * p;
    k.mul_add(std::f64::consts::LN_2, f.mul_add(2.0, tail))
}

#[cfg(test)]
mod tests {
    use super::{exp_f32, exp_f64, ln_f64};

    #[test]
    fn agrees_with_the_standard_library() {
        for step in -70_800..=70_900 {
            let x = f64::from(step) * 0.01;
            assert!((exp_f64(x) / x.exp() - 1.0).abs() < 5e-16, "exp({x})");
        }
        for step in -8_700..=8_800 {
            let x = step as f32 * 0.01;
            assert!((exp_f32(x) / x.exp() - 1.0).abs() < 3e-7, "exp({x})");
        }
    }

    #[test]
    fn far_below_is_zero_and_zero_is_one() {
        assert_eq!((exp_f64(-1e300), exp_f64(f64::NEG_INFINITY), exp_f64(0.0)), (0.0, 0.0, 1.0));
        assert_eq!((exp_f32(-1e30), exp_f32(f32::NEG_INFINITY), exp_f32(0.0)), (0.0, 0.0, 1.0));
    }

    #[test]
    fn ln_agrees_too() {
        assert_eq!(ln_f64(1.0), 0.0);
        for step in -3000..3000 {
            let x = (f64::from(step) * 0.23).exp();
            assert!((ln_f64(x) - x.ln()).abs() <= 5e-16 * x.ln().abs(), "ln({x})");
            let near = 1.0 + f64::from(step) * 1e-6;
            assert!((ln_f64(near) - near.ln()).abs() <= 5e-16 * near.ln().abs(), "ln({near})");
        }
    }
}

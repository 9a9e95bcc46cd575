# SPDX-License-Identifier: MIT
"""Draws what fuzz_report.py has measured, as SVG: how much was reached over time."""
import html
import math

CURVES = {"src": ("lines of src/, %", "#c0392b"), "model": ("lines of model/, %", "#2471a3"),
          "cells": ("rows of the lifecycle", "#229954"), "results": ("results", "#8e44ad")}
WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 420, 200, 60, 60, 80


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{html.escape(words)}</text>'


def panel(name, series, left, top):
    """One curve, on a scale of its own; the time is logarithmic, as most is reached at once."""
    words, colour = CURVES[name]
    last = max(each["seconds"] for each in series[1:])
    most = max(max(each[name] for each in series), 1)
    scale = WIDTH / math.log10(max(last, 2) / 0.5)

    def across(seconds):
        return left + math.log10(max(seconds, 0.5) / 0.5) * scale

    def up(value):
        return top + HEIGHT * (1 - value / most)

    out = [text(left, top - 10, f"{words}: {series[-1][name]:g}"),
           f'<path d="M{left} {top}V{top + HEIGHT}H{left + WIDTH}" fill="none" stroke="#555"/>']
    for tick in (0, most / 2, most):
        out.append(text(left - 6, up(tick) + 4, f"{tick:g}", 'text-anchor="end"'))
    for tick in (1, 10, 60, 600, 3600, 36000):
        if tick <= last:
            said = f"{tick} s" if tick < 60 else f"{tick // 60} min"
            out.append(f'<path d="M{across(tick):.1f} {top}v{HEIGHT}" stroke="#ddd"/>')
            out.append(text(across(tick), top + HEIGHT + 16, said, 'text-anchor="middle"'))
    steps = "".join(f"H{across(each['seconds']):.1f}V{up(each[name]):.1f}" for each in series[1:])
    out.append(f'<path d="M{left} {up(series[0][name]):.1f}{steps}" fill="none" '
               f'stroke="{colour}" stroke-width="2"/>')
    return out


def picture(title, series):
    width, height = 2 * (LEFT + WIDTH) + BETWEEN, TOP + 2 * (HEIGHT + BETWEEN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           text(LEFT, 22, title, 'font-size="15"')]
    for i, name in enumerate(CURVES):
        out += panel(name, series, LEFT + i % 2 * (LEFT + WIDTH + 20),
                     TOP + i // 2 * (HEIGHT + BETWEEN))
    return "\n".join([*out, "</svg>", ""])

package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// picture is the argument of the task "resize": by name as in {"source": ...,
// "target": ..., "width": ...}, or by position in this order.
type picture struct {
	Source string `json:"source"` // path of a PNG or JPEG
	Target string `json:"target"` // path of the PNG to write
	Width  int    `json:"width"`  // in pixels
}

// resize may run twice for one message: delivery is at least once. Writing the
// same file again does no harm.
func resize(ctx context.Context, p picture) error {
	if p.Width < 1 || p.Width > 4096 {
		return task.Discard(fmt.Errorf("width %d is not in 1..4096", p.Width))
	}
	src, err := load(p.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return task.Retry(err, 200*time.Millisecond) // perhaps the upload is still under way
	case errors.Is(err, image.ErrFormat):
		return task.Discard(fmt.Errorf("%s: %w", p.Source, err)) // it will be no picture next time either
	case err != nil:
		return err // a failed attempt: the pool's retry policy decides
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the timeout, or the end of a shutdown
	}
	return save(p.Target, scale(src, p.Width))
}

func load(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	m, _, err := image.Decode(f)
	return m, err
}

// scale takes the nearest pixel: this is an example of tasks, not of pictures.
func scale(src image.Image, width int) image.Image {
	from := src.Bounds()
	height := max(1, from.Dy()*width/max(1, from.Dx()))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, src.At(from.Min.X+x*from.Dx()/width, from.Min.Y+y*from.Dy()/height))
		}
	}
	return m
}

// save replaces the file as a whole, so that nobody sees half a picture.
func save(path string, m image.Image) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".resize-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // is gone already if all went well
	err = errors.Join(png.Encode(f, m), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

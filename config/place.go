package config

// Place is where a value was set: the name of the file with its line and column, or
// of the environment variable with 0 for both. A key that is not set has the place of
// the nearest one above it that is, in the end the beginning of the file.
func (f *File) Place(path string) (source string, line, column int) {
	at := f.read.at(path, "")
	return at.Source, at.Line, at.Column
}

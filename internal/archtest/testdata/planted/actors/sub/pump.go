package sub

func pump() {
	go func() {}()
}

package chanio

func (s *Session) receiveFrames() error { return nil }

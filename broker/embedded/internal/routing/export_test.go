package routing

// TopicMatches reports what a topic exchange with one binding says of a key.
func TopicMatches(binding, key string) bool {
	var n *topicNode[string]
	n = n.with(splitKey(binding), target[string]{name: "q"})
	return len(n.match(nil, key)) > 0
}

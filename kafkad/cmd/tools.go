package cmd

// tools are the command line tools by upstream's names.
var tools = []program{}

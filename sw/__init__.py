if __name__ == "sw":
    raise ImportError("import weft.sw, not sw")
